#include "cli/run_queue.h"

#include "base/mem.h"

#define PATIENCE_MS 5000

static void told(void *arg, const json_t *stats, const struct err *e)
{
	const struct run_queue *q = arg;
	if (e != NULL || json_integer_value(json_object_get(stats, "workers_polling")) > 0 ||
	    json_integer_value(json_object_get(stats, "depth")) == 0)
		return;
	AUTO_FREE char *text = mem_printf("no worker serves %s; start one with: sallyport worker", q->environment);
	run_view_note(q->view, text);
}

void run_queue_tick(struct run_queue *q)
{
	if (q->asked || q->environment == NULL || run_view_worker_ms(q->view) < PATIENCE_MS)
		return;
	q->asked = true;
	AUTO_FREE char *path = mem_printf("/v1/environments/%s/work/stats", q->environment);
	api_send(q->api, "GET", path, NULL, told, q);
}

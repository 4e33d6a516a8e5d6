#include "worker/settle.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/ledger.h"
#include "worker/plane.h"

#define TRY_MS 2000

struct settle {
	struct worker *w;
	struct ledger_op *reading;
	struct plane_call *stopping;
	json_t *ids;
	void (*done)(void *arg);
	void *arg;
};

static void next(struct settle *s);

static const char *first(const struct settle *s)
{
	return json_object_iter_key(json_object_iter(s->ids));
}

static void stopped(void *arg, const struct plane_answer *a)
{
	struct settle *s = arg;
	s->stopping = NULL;
	log_info("worker.item_settled", "item=%s status=%d", first(s), a->status);
	ledger_item_ended(s->w->ledger, first(s));
	json_object_del(s->ids, first(s));
	next(s);
}

static void next(struct settle *s)
{
	if (json_object_size(s->ids) == 0) {
		s->done(s->arg);
		return;
	}
	AUTO_FREE char *path = mem_printf("/v1/environments/%s/work/%s/stop", plane_environment(s->w->plane), first(s));
	const struct plane_request r = {.method = "POST",
	                                .path = path,
	                                .body = SPAN_LIT("{\"force\":true}"),
	                                .timeout_ms = TRY_MS,
	                                .tries = 1,
	                                .done = stopped,
	                                .arg = s};
	s->stopping = plane_send(s->w->plane, &r);
}

static void have_read(void *arg, const json_t *ids, const struct err *e)
{
	struct settle *s = arg;
	s->reading = NULL;
	s->ids = e == NULL ? json_deep_copy(ids) : json_object();
	next(s);
}

struct settle *settle_start(struct worker *w, void (*done)(void *arg), void *arg)
{
	struct settle *s = NEW(struct settle);
	s->w = w;
	s->done = done;
	s->arg = arg;
	s->reading = ledger_items(w->ledger, NULL, have_read, s);
	return s;
}

void settle_drop(struct settle **s)
{
	if (*s == NULL)
		return;
	ledger_cancel(&(*s)->reading);
	plane_cancel(&(*s)->stopping);
	json_decref((*s)->ids);
	free(*s);
	*s = NULL;
}

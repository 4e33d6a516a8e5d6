#include "worker/poll.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/protocol.h"
#include "base/random.h"
#include "worker/item.h"
#include "worker/ledger.h"
#include "worker/plane.h"

#define BLOCK_MS 999
#define GAP_MIN_MS 1000
#define GAP_MAX_MS 3000
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_START_MS 50 // before the first answer: control may be starting at the same moment
#define BACKOFF_CAP_MS 60000
#define TIMEOUT_MS 30000

struct poll {
	struct poll_opts o;
	struct plane_call *polling;
	struct loop_timer *next;
	struct item **items;
	size_t n_items;
	uint64_t asked_ms;
	unsigned int failures;
	bool told, draining;
};

static void poll_now(void *arg);

static void poll_in(struct poll *p, uint64_t ms)
{
	if (!p->draining && p->next == NULL && p->polling == NULL && p->n_items < p->o.sessions_max)
		p->next = loop_timer_start(p->o.worker->loop, ms, poll_now, p);
}

static void item_ended(void *arg, struct item *i)
{
	struct poll *p = arg;
	size_t at = 0;
	while (p->items[at] != i)
		at++;
	item_drop(&i);
	p->items[at] = p->items[--p->n_items];
	if (p->draining && p->n_items == 0)
		p->o.drained(p->o.arg);
	else
		poll_in(p, 0);
}

static enum delivery delivery_of(const char *field)
{
	if (field != NULL && strcmp(field, PROTOCOL_CALLS_AT_MOST_ONCE) == 0)
		return DELIVERY_AT_MOST_ONCE;
	if (field != NULL && strcmp(field, PROTOCOL_CALLS_AT_LEAST_ONCE) == 0)
		return DELIVERY_AT_LEAST_ONCE;
	return DELIVERY_UNTOLD;
}

static void take_item(struct poll *p, const struct plane_answer *a)
{
	struct err e;
	const struct item_opts opts = {
	        .worker = p->o.worker, .delivery = delivery_of(a->calls), .work = a->body, .ended = item_ended, .arg = p};
	struct item *i = item_start(&opts, &e);
	if (i == NULL) {
		log_warn("worker.item_unusable", "error=%s", LOG_Q(span_of(e.msg)));
		poll_in(p, GAP_MIN_MS);
		return;
	}
	p->items = mem_grow(p->items, p->n_items + 1, sizeof(struct item *));
	p->items[p->n_items++] = i;
	poll_in(p, 0);
}

static void refused(struct poll *p, const struct plane_answer *a)
{
	const struct plane *plane = p->o.worker->plane;
	const char *environment = plane_environment(plane), *url = plane_base_url(plane);
	struct err e;
	if (a->status == 401)
		err_set(&e, ERR_UNAUTHENTICATED,
		        "%s refuses the environment key (%s)\ncheck that it was made for %s and was not revoked", url,
		        a->why.msg, environment);
	else if (a->status == 403)
		err_set(&e, ERR_DENIED,
		        "%s says that this environment key may not serve %s (%s)\nuse the key that was made for it", url,
		        environment, a->why.msg);
	else if (a->status == 404)
		err_set(&e, ERR_NOT_FOUND,
		        "%s knows no environment %s (%s)\ncheck the id, and that the base URL is the right control plane", url,
		        environment, a->why.msg);
	else
		err_set(&e, ERR_INVALID, "%s refuses to be polled for %s: %s", url, environment, a->why.msg);
	p->o.failed(p->o.arg, &e);
}

// How long to leave an empty queue alone. The hosted service is asked as its own workers ask it; Sallyport's control holds a
// poll until there is work, so it is asked again as soon as it has held one to the end.
static uint64_t gap(const struct poll *p, const struct plane_answer *a)
{
	if (delivery_of(a->calls) == DELIVERY_UNTOLD)
		return GAP_MIN_MS + random_below(GAP_MAX_MS - GAP_MIN_MS);
	uint64_t held = loop_now_ms(p->o.worker->loop) - p->asked_ms;
	return held < BLOCK_MS && p->told ? BLOCK_MS - held : 0;
}

static void answered(void *arg, const struct plane_answer *a)
{
	struct poll *p = arg;
	p->polling = NULL;
	if (a->fatal) {
		refused(p, a);
		return;
	}
	if (!a->ok) {
		uint64_t wait = plane_backoff(p->failures++, p->told ? BACKOFF_FIRST_MS : BACKOFF_START_MS, BACKOFF_CAP_MS);
		wait = wait > a->retry_after_ms ? wait : a->retry_after_ms;
		log_warn("worker.poll_failed", "again_ms=%llu error=%s", (unsigned long long)wait, LOG_Q(span_of(a->why.msg)));
		poll_in(p, wait);
		return;
	}
	p->failures = 0;
	if (json_is_object(a->body))
		take_item(p, a);
	else
		poll_in(p, gap(p, a));
	if (!p->told) {
		p->told = true;
		p->o.answered(p->o.arg);
	}
}

static void poll_now(void *arg)
{
	struct poll *p = arg;
	p->next = NULL;
	p->asked_ms = loop_now_ms(p->o.worker->loop);
	// The first is answered at once: it tells that the key is good.
	AUTO_FREE char *path = mem_printf("/v1/environments/%s/work/poll?block_ms=%d", plane_environment(p->o.worker->plane),
	                                  p->told ? BLOCK_MS : 1);
	const struct plane_request r = {
	        .method = "GET", .path = path, .timeout_ms = TIMEOUT_MS, .names_worker = true, .done = answered, .arg = p};
	p->polling = plane_send(p->o.worker->plane, &r);
}

struct poll *poll_start(const struct poll_opts *opts)
{
	struct poll *p = NEW(struct poll);
	p->o = *opts;
	poll_in(p, 0);
	return p;
}

void poll_drop(struct poll **poll)
{
	struct poll *p = *poll;
	if (p == NULL)
		return;
	*poll = NULL;
	plane_cancel(&p->polling);
	loop_timer_cancel(&p->next);
	for (size_t i = 0; i < p->n_items; i++)
		item_drop(&p->items[i]);
	free(p->items);
	free(p);
}

void poll_drain(struct poll *p)
{
	if (p->draining)
		return;
	p->draining = true;
	plane_cancel(&p->polling);
	loop_timer_cancel(&p->next);
	for (size_t i = 0; i < p->n_items; i++)
		item_drain(p->items[i]);
	if (p->n_items == 0)
		p->o.drained(p->o.arg);
}

json_t *poll_json(const struct poll *p)
{
	json_t *all = json_array();
	for (size_t i = 0; p != NULL && i < p->n_items; i++)
		json_array_append_new(all, item_json(p->items[i]));
	return all;
}

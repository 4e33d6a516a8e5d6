#include "control/work_queue.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/protocol.h"
#include "control/work_clock.h"
#include "control/work_lease.h"

#define WORKERS_MAX 4096 // remembered of one environment

struct waiter {
	struct waiter *prev, *next;
	struct queue *queue;
	struct request *r;
	struct loop_timer *timer; // the end of its patience
	uint64_t deadline_ms;
	int64_t reclaim_ms;
};

struct worker {
	struct worker *next;
	uint64_t seen_ms;
	char id[257];
};

struct queue { // of one environment
	struct queue *next;
	char environment[ID_MAX];
	int64_t queued;
	struct waiter *head, *tail;
	struct worker *workers;
	size_t n_workers;
};

struct work_queue {
	struct control *c;
	struct queue *queues; // environments that were polled: a handful
	struct work_clock *clock;
};

struct work_queue *work_queue_new(struct control *c)
{
	struct work_queue *q = NEW(struct work_queue);
	q->c = c;
	q->clock = work_clock_new(c);
	return q;
}

void work_queue_free(struct work_queue *q)
{
	if (q == NULL)
		return;
	for (struct queue *one = q->queues, *next; one != NULL; one = next) {
		next = one->next;
		BUG_ON(one->head != NULL);
		for (struct worker *w = one->workers, *following; w != NULL; w = following) {
			following = w->next;
			free(w);
		}
		free(one);
	}
	work_clock_free(q->clock);
	free(q);
}

struct work_clock *work_queue_clock(const struct work_queue *q)
{
	return q->clock;
}

void work_queue_due(struct work_queue *q, int64_t utc_us)
{
	work_clock_due(q->clock, utc_us);
}

void work_queue_resume(struct work_queue *q)
{
	work_clock_due(q->clock, clock_utc_us());
}

static struct queue *find(struct work_queue *q, const char *environment, bool make)
{
	for (struct queue *one = q->queues; one != NULL; one = one->next) {
		if (strcmp(one->environment, environment) == 0)
			return one;
	}
	if (!make)
		return NULL;
	struct queue *one = NEW(struct queue);
	strncpy(one->environment, environment, ID_MAX - 1);
	one->next = q->queues;
	q->queues = one;
	return one;
}

// --- waiting

static struct request *waiter_take(struct queue *one, struct waiter *w)
{
	BUG_ON((w->prev == NULL) != (one->head == w));
	*(w->prev != NULL ? &w->prev->next : &one->head) = w->next;
	*(w->next != NULL ? &w->next->prev : &one->tail) = w->prev;
	loop_timer_cancel(&w->timer);
	struct request *r = w->r;
	r->gone = NULL;
	free(w);
	return r;
}

static void patience_ended(void *arg)
{
	struct waiter *w = arg;
	w->timer = NULL;
	request_answer(waiter_take(w->queue, w), SPAN_LIT("null"));
}

static void client_gone(void *arg)
{
	struct waiter *w = arg;
	request_free(waiter_take(w->queue, w));
}

static void wait(struct queue *one, struct request *r, uint64_t deadline_ms, int64_t reclaim_ms)
{
	uint64_t now = clock_mono_ms();
	struct waiter *w = NEW(struct waiter);
	w->queue = one;
	w->r = r;
	w->deadline_ms = deadline_ms;
	w->reclaim_ms = reclaim_ms;
	w->timer = loop_timer_start(r->c->loop, deadline_ms > now ? deadline_ms - now : 0, patience_ended, w);
	r->gone = client_gone;
	r->gone_arg = w;
	w->prev = one->tail;
	*(one->tail != NULL ? &one->tail->next : &one->head) = w;
	one->tail = w;
}

static void see_worker(struct queue *one, const char *id)
{
	struct worker **p = &one->workers, *w;
	uint64_t now = clock_mono_ms();
	while ((w = *p) != NULL) {
		if (strcmp(w->id, id) == 0) {
			w->seen_ms = now;
			return;
		}
		if (now - w->seen_ms > WORK_QUEUE_SEEN_MS) {
			*p = w->next;
			free(w);
			one->n_workers--;
			continue;
		}
		p = &w->next;
	}
	if (one->n_workers >= WORKERS_MAX)
		return;
	w = NEW(struct worker);
	strncpy(w->id, id, sizeof(w->id) - 1);
	w->seen_ms = now;
	w->next = one->workers;
	one->workers = w;
	one->n_workers++;
}

// --- claiming

struct claiming {
	struct work_claim claim;
	uint64_t deadline_ms; // 0: it does not wait
};

static void release_claiming(void *arg)
{
	struct claiming *cl = arg;
	free(cl->claim.worker);
	free(cl->claim.journal);
	mem_wipe(cl->claim.token, sizeof(cl->claim.token));
	free(cl);
}

static bool see_row(void *arg, const struct store_row *row)
{
	(void)row;
	*(bool *)arg = true;
	return false;
}

static struct result run_claim(struct op *op, struct store_tx *tx, struct err *e)
{
	struct claiming *cl = op->arg;
	TRY(work_lease_claim(op, tx, &cl->claim, e));
	if (cl->claim.found)
		return OK;
	bool there = false;
	TRY(store_query(tx, e, see_row, &there, "SELECT 1 FROM environments WHERE id = $1", "s",
	                span_of(cl->claim.environment)));
	if (!there)
		return err_set(e, ERR_NOT_FOUND, "there is no environment %s", cl->claim.environment);
	return work_tx_count(op, tx, cl->claim.environment, e);
}

struct unclaiming {
	char environment[ID_MAX], id[ID_MAX];
	int64_t epoch;
};

static struct result run_unclaim(struct op *op, struct store_tx *tx, struct err *e)
{
	const struct unclaiming *u = op->arg;
	return work_lease_unclaim(op, tx, u->environment, u->id, u->epoch, e);
}

static void claim(struct work_queue *q, struct request *r, const char *environment, uint64_t deadline_ms, int64_t reclaim_ms);

static void wake(struct work_queue *q, struct queue *one, int64_t n)
{
	for (; n > 0 && one->head != NULL; n--) {
		uint64_t deadline = one->head->deadline_ms;
		int64_t reclaim = one->head->reclaim_ms;
		claim(q, waiter_take(one, one->head), one->environment, deadline, reclaim);
	}
}

static void unclaimed(struct op *op)
{
	const struct unclaiming *u = op->arg;
	struct queue *one = find(op->c->queue, u->environment, false);
	if (one != NULL)
		wake(op->c->queue, one, 1);
}

// The poller went away before its item could be answered: back into the queue with it.
static void give_back(struct op *op)
{
	const struct credential *token = &op->fx.token;
	struct unclaiming *u = NEW(struct unclaiming);
	memcpy(u->environment, token->environment, ID_MAX);
	memcpy(u->id, token->id, ID_MAX);
	u->epoch = token->epoch;
	struct op *back = op_new(op->c, NULL, run_unclaim);
	back->arg = u;
	back->release = free;
	back->published = unclaimed;
	op_submit(back);
}

static void claimed(struct op *op)
{
	struct claiming *cl = op->arg;
	struct queue *one = find(op->c->queue, cl->claim.environment, true);
	if (cl->claim.worker[0] != '\0')
		see_worker(one, cl->claim.worker);
	if (cl->claim.found) {
		if (op->r->x == NULL)
			give_back(op);
		return;
	}
	if (op->r->x != NULL && cl->deadline_ms > clock_mono_ms())
		wait(one, STEAL(op->r), cl->deadline_ms, cl->claim.reclaim_us / 1000);
}

static void claim(struct work_queue *q, struct request *r, const char *environment, uint64_t deadline_ms, int64_t reclaim_ms)
{
	struct claiming *cl = NEW(struct claiming);
	strncpy(cl->claim.environment, environment, ID_MAX - 1);
	cl->deadline_ms = deadline_ms;
	cl->claim.reclaim_us = reclaim_ms * 1000;
	char *worker = r->x == NULL ? NULL : request_header(r, "anthropic-worker-id", 256);
	char *journal = r->x == NULL ? NULL : request_header(r, "sallyport-journal", 256);
	cl->claim.worker = worker != NULL ? worker : mem_strdup("");
	cl->claim.journal = journal != NULL ? journal : mem_strdup("");
	secret_make(cl->claim.token, "sp-ses");
	struct op *op = op_new(q->c, r, run_claim);
	op->arg = cl;
	op->release = release_claiming;
	op->published = claimed;
	op_submit(op);
}

size_t work_queue_workers(struct work_queue *q, const char *environment)
{
	const struct queue *one = find(q, environment, false);
	uint64_t now = clock_mono_ms();
	size_t n = 0;
	for (const struct worker *w = one == NULL ? NULL : one->workers; w != NULL; w = w->next)
		n += now - w->seen_ms <= WORK_QUEUE_SEEN_MS;
	return n;
}

// How the environment's calls are delivered. Only the configuration makes one at-least-once.
static const char *delivery(const struct config_control *cfg, const char *environment)
{
	for (size_t i = 0; i < cfg->n_environments; i++) {
		if (strcmp(cfg->environments[i].id, environment) == 0 && cfg->environments[i].at_least_once)
			return PROTOCOL_CALLS_AT_LEAST_ONCE;
	}
	return PROTOCOL_CALLS_AT_MOST_ONCE;
}

void work_queue_poll(struct work_queue *q, struct request *r, const char *environment, int64_t block_ms, int64_t reclaim_ms)
{
	struct queue *one = find(q, environment, false);
	uint64_t deadline = block_ms == 0 ? 0 : clock_mono_ms() + (uint64_t)block_ms;
	AUTO_FREE char *worker = request_header(r, "anthropic-worker-id", 256);
	r->calls = delivery(&q->c->cfg->control, environment);
	if (one != NULL && worker != NULL)
		see_worker(one, worker);
	if (one == NULL || one->queued > 0)
		claim(q, r, environment, deadline, reclaim_ms);
	else if (block_ms == 0)
		request_answer(r, SPAN_LIT("null"));
	else
		wait(one, r, deadline, reclaim_ms);
}

void work_queue_changed(struct work_queue *q, const char *environment, int64_t queued)
{
	struct queue *one = find(q, environment, true);
	int64_t more = queued - one->queued;
	one->queued = queued;
	wake(q, one, more);
}

void work_queue_end_polls(struct work_queue *q)
{
	for (struct queue *one = q->queues; one != NULL; one = one->next) {
		while (one->head != NULL)
			request_answer(waiter_take(one, one->head), SPAN_LIT("null"));
	}
}

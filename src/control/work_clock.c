#include "control/work_clock.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/calls.h"
#include "control/op.h"
#include "control/work_lease.h"
#include "control/work_queue.h"

#define AGAIN_US 1000000 // when something that was due could not be settled

struct work_clock {
	struct control *c;
	struct loop_timer *timer;
	int64_t at; // of the timer, UTC us
	bool sweeping;
	int64_t missed; // the earliest time asked for during a sweep
};

struct lapsed {
	char environment[ID_MAX], id[ID_MAX]; // of a work item; or a session's id alone, whose hold has run out
};

struct sweep {
	struct lapsed *at;
	size_t n;
	int64_t next; // 0: nothing more
};

static void start_sweep(void *arg);

struct work_clock *work_clock_new(struct control *c)
{
	struct work_clock *w = NEW(struct work_clock);
	w->c = c;
	return w;
}

void work_clock_free(struct work_clock *w)
{
	loop_timer_cancel(&w->timer);
	free(w);
}

void work_clock_due(struct work_clock *w, int64_t utc_us)
{
	if (w->sweeping) {
		w->missed = w->missed == 0 || utc_us < w->missed ? utc_us : w->missed;
		return;
	}
	if (w->timer != NULL && w->at <= utc_us)
		return;
	int64_t wait_us = utc_us - clock_utc_us();
	w->at = utc_us;
	loop_timer_cancel(&w->timer);
	w->timer = loop_timer_start(w->c->loop, wait_us > 0 ? (uint64_t)(wait_us / 1000 + 1) : 0, start_sweep, w);
}

static bool add(void *arg, const struct store_row *row)
{
	struct sweep *s = arg;
	s->at = mem_grow(s->at, s->n + 1, sizeof(*s->at));
	struct lapsed *l = &s->at[s->n++];
	memset(l, 0, sizeof(*l));
	struct span environment = store_text(row, 0), id = store_text(row, 1);
	memcpy(l->environment, environment.data, environment.len < ID_MAX - 1 ? environment.len : ID_MAX - 1);
	memcpy(l->id, id.data, id.len < ID_MAX - 1 ? id.len : ID_MAX - 1);
	return true;
}

static bool take_next(void *arg, const struct store_row *row)
{
	struct sweep *s = arg;
	int64_t at = store_int(row, 0);
	if (!store_null(row, 0) && (s->next == 0 || at < s->next))
		s->next = at;
	return true;
}

static struct result look(struct op *op, struct store_tx *tx, struct err *e)
{
	struct sweep *s = op->arg;
	int64_t now = clock_utc_us();
	TRY(store_query(tx, e, add, s, "SELECT environment, id FROM work WHERE lease_until <= $1", "i", now));
	TRY(store_query(tx, e, add, s,
	                "SELECT DISTINCT '', s.id FROM calls c JOIN sessions s ON s.num = c.session WHERE c.hold_until <= $1",
	                "i", now));
	TRY(store_query(tx, e, take_next, s, "SELECT min(lease_until) FROM work WHERE lease_until > $1", "i", now));
	return store_query(tx, e, take_next, s, "SELECT min(hold_until) FROM calls WHERE hold_until > $1", "i", now);
}

static struct result lapse(struct op *op, struct store_tx *tx, struct err *e)
{
	const struct lapsed *l = op->arg;
	return work_lease_lapse(op, tx, l->environment, l->id, e);
}

static struct result expire(struct op *op, struct store_tx *tx, struct err *e)
{
	const struct lapsed *l = op->arg;
	struct session_tx s;
	if (failed(session_tx_load(&s, op, tx, l->id, e)))
		return e->kind == ERR_NOT_FOUND ? OK : FAIL;
	TRY(calls_hold_expired(&s, e));
	return session_tx_save(&s, e);
}

static void not_settled(struct op *op, const struct err *e)
{
	const struct lapsed *l = op->arg;
	log_warn("lease.again", "id=%s error=%s", l->id, LOG_Q(span_of(e->msg)));
	work_clock_due(work_queue_clock(op->c->queue), clock_utc_us() + AGAIN_US);
}

static void sweep_over(struct work_clock *w, int64_t next)
{
	w->sweeping = false;
	if (next != 0)
		work_clock_due(w, next);
	if (w->missed != 0)
		work_clock_due(w, w->missed);
	w->missed = 0;
}

static void settle(struct op *op)
{
	struct sweep *s = op->arg;
	sweep_over(work_queue_clock(op->c->queue), s->next);
	for (size_t i = 0; i < s->n; i++) {
		struct op *one = op_new(op->c, NULL, s->at[i].environment[0] == '\0' ? expire : lapse);
		struct lapsed *l = NEW(struct lapsed);
		*l = s->at[i];
		one->arg = l;
		one->release = free;
		one->refused = not_settled;
		op_submit(one);
	}
}

static void look_failed(struct op *op, const struct err *e)
{
	log_warn("lease.again", "error=%s", LOG_Q(span_of(e->msg)));
	sweep_over(work_queue_clock(op->c->queue), clock_utc_us() + AGAIN_US);
}

static void release(void *arg)
{
	struct sweep *s = arg;
	free(s->at);
	free(s);
}

static void start_sweep(void *arg)
{
	struct work_clock *w = arg;
	w->timer = NULL;
	w->sweeping = true;
	struct op *op = op_new(w->c, NULL, look);
	op->arg = NEW(struct sweep);
	op->release = release;
	op->published = settle;
	op->refused = look_failed;
	op_read(op);
}

#include "worker/proof.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "worker/room.h"

#define AGAIN_MS 500
#define LIMIT_MS 10000

struct proof {
	struct worker *w;
	struct room *room;
	struct loop_timer *again;
	bool held;
	void (*done)(void *arg);
	void *arg;
};

static void try_now(void *arg);

static void ended(void *arg)
{
	struct proof *t = arg;
	room_release(&t->room);
	if (t->held)
		t->done(t->arg);
	else
		t->again = loop_timer_start(t->w->loop, AGAIN_MS, try_now, t);
}

static void ran(void *arg, enum room_outcome o, bool is_error, struct span text)
{
	struct proof *t = arg;
	t->held = o == ROOM_RESULT && !is_error && span_is(text, "ready");
	if (!t->held)
		log_warn("worker.selftest_failed", "answer=%s", LOG_Q(text));
	room_end(t->room, true, ended, t);
}

static void try_now(void *arg)
{
	struct proof *t = arg;
	char session[ID_MAX];
	t->again = NULL;
	id_make(session, "selftest");
	t->room = room_hold(t->w->rooms, session);
	const struct room_call call = {.id = session,
	                               .name = SPAN_LIT("bash"),
	                               .input = SPAN_LIT("{\"command\":\"echo ready\"}"),
	                               .timeout_ms = LIMIT_MS};
	room_run(t->room, &call, ran, t);
}

struct proof *proof_start(struct worker *w, void (*done)(void *arg), void *arg)
{
	struct proof *t = NEW(struct proof);
	t->w = w;
	t->done = done;
	t->arg = arg;
	t->again = loop_timer_start(w->loop, 0, try_now, t);
	return t;
}

void proof_drop(struct proof **t)
{
	if (*t == NULL)
		return;
	loop_timer_cancel(&(*t)->again);
	if ((*t)->room != NULL)
		room_forsake((*t)->room);
	free(*t);
	*t = NULL;
}

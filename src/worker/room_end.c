// How a sandbox ends, and what becomes of its session's /workspace.
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "provider/local.h"
#include "worker/room_state.h"
#include "worker/trail.h"

#define LOOK_AGAIN_MS 250

static void after_end(struct room *x)
{
	void (*told)(void *) = x->ended;
	void *arg = x->ended_arg;
	x->state = ROOM_COLD;
	x->sandbox = NULL;
	x->ended = NULL;
	x->remove = false;
	json_array_clear(x->forget);
	if (x->op.active && (x->op.sent || x->op.collect))
		room_call_lost(x, x->why);
	else if (x->op.active)
		room_open(x); // it never reached the sandbox that ended
	room_drop_unused(x);
	if (told != NULL)
		told(arg);
}

// The place could not be asked: then only a proof counts.
static void look_whether_dead(void *arg)
{
	struct room *x = arg;
	struct err e;
	bool dead = false;
	x->retry = NULL;
	if (!failed(provider_local_session_is_dead(x->owner->o.data_dir, x->session, &dead, &e)) && dead)
		after_end(x);
	else
		x->retry = loop_timer_start(x->owner->o.loop, LOOK_AGAIN_MS, look_whether_dead, x);
}

static void killed(void *arg, const struct err *e)
{
	struct room *x = arg;
	if (e == NULL) {
		after_end(x);
		return;
	}
	log_warn("worker.sandbox_kill_failed", "session=%s error=%s", x->session, LOG_Q(span_of(e->msg)));
	look_whether_dead(x);
}

void room_broken(struct room *x, const char *why)
{
	if (x->state != ROOM_ATTACHING && x->state != ROOM_OPEN)
		return;
	log_info("worker.sandbox_end", "session=%s why=%s", x->session, LOG_Q(span_of(why)));
	snprintf(x->why, sizeof(x->why), "%s", why);
	room_close(x);
	loop_timer_cancel(&x->guard);
	loop_timer_cancel(&x->keep);
	x->state = ROOM_ENDING;
	if (x->program != NULL)
		x->program->x = NULL; // its end, when told, is nobody's business any more
	x->program = NULL;
	x->owner->o.place->ops->kill(x->owner->o.place, x->sandbox, x->remove, killed, x);
}

void room_end(struct room *x, bool remove, void (*done)(void *arg), void *arg)
{
	x->remove = x->remove || remove;
	x->ended = done;
	x->ended_arg = arg;
	if (x->state == ROOM_OPEN || x->state == ROOM_ATTACHING) {
		room_broken(x, "it is not needed any more");
	} else if (x->state == ROOM_COLD && remove) {
		x->state = ROOM_ENDING;
		snprintf(x->why, sizeof(x->why), "its workspace was removed");
		x->owner->o.place->ops->remove(x->owner->o.place, x->session, killed, x);
	} else if (x->state == ROOM_COLD && done != NULL) {
		done(arg);
	}
}

static void removal_recorded(void *arg, const struct err *e)
{
	struct room *x = arg;
	x->removing = NULL;
	if (e != NULL)
		log_warn("worker.workspace_kept", "session=%s error=%s", x->session, LOG_Q(span_of(e->msg)));
	else if (x->holders == 0) // else the session is back
		room_end(x, true, NULL, NULL);
	room_drop_unused(x);
}

void room_remove(struct room *x, const char *why)
{
	char name[ID_MAX];
	if (x->removing != NULL)
		return;
	id_make(name, "wrm");
	log_info("worker.workspace_remove", "session=%s why=%s", x->session, LOG_Q(span_of(why)));
	x->removing = trail_removal(x->owner->o.audit, x->session, name, why, removal_recorded, x);
}

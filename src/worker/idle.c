#include "worker/idle.h"

#include <string.h>

void idle_init(struct idle *i, struct loop *l, uint64_t max_ms, void (*expired)(void *arg), void *arg)
{
	*i = (struct idle){.loop = l, .max_ms = max_ms, .expired = expired, .arg = arg};
}

void idle_fini(struct idle *i)
{
	loop_timer_cancel(&i->timer);
}

static bool type_is(const json_t *event, const char *type)
{
	return span_is(json_span(json_object_get(event, "type")), type);
}

bool idle_ends_turn(const json_t *event)
{
	const json_t *reason = json_object_get(event, "stop_reason");
	return type_is(event, "session.status_idle") && !type_is(reason, "requires_action");
}

bool idle_is_neutral(const json_t *event)
{
	return type_is(event, "user.tool_confirmation") || type_is(event, "session.thread_status_terminated");
}

static void fired(void *arg)
{
	struct idle *i = arg;
	i->timer = NULL;
	i->expired(i->arg);
}

void idle_arm(struct idle *i)
{
	if (i->max_ms == 0)
		return;
	i->pending = i->blockers > 0;
	loop_timer_cancel(&i->timer);
	if (!i->pending)
		i->timer = loop_timer_start(i->loop, i->max_ms, fired, i);
}

void idle_disarm(struct idle *i)
{
	i->pending = false;
	loop_timer_cancel(&i->timer);
}

void idle_note_event(struct idle *i, const json_t *event)
{
	if (i->may_be_stale && type_is(event, "session.thread_status_terminated"))
		idle_disarm(i);
	if (idle_is_neutral(event))
		return;
	i->may_be_stale = false;
	if (idle_ends_turn(event))
		idle_arm(i);
	else
		idle_disarm(i);
}

void idle_note_history(struct idle *i, bool complete)
{
	i->may_be_stale = !complete;
}

void idle_block(struct idle *i)
{
	i->blockers++;
	if (i->timer != NULL) {
		i->pending = true;
		loop_timer_cancel(&i->timer);
	}
}

void idle_unblock(struct idle *i)
{
	BUG_ON(i->blockers == 0);
	if (--i->blockers == 0 && i->pending)
		idle_arm(i);
}

void idle_abandon(struct idle *i)
{
	if (i->may_be_stale)
		idle_disarm(i);
	idle_unblock(i);
}

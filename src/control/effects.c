#include "control/effects.h"

#include "base/mem.h"
#include "control/event_log_state.h"
#include "control/stream.h"
#include "control/work_queue.h"

void effects_init(struct effects *fx)
{
	memset(fx, 0, sizeof(*fx));
}

void effects_fini(struct effects *fx)
{
	for (size_t i = 0; i < fx->n_events; i++) {
		free(fx->events[i].type);
		free(fx->events[i].json);
	}
	free(fx->events);
	effects_init(fx);
}

struct effects_event *effects_event_add(struct effects *fx, int64_t seq, const char *id, struct span type, char *json,
                                        size_t len)
{
	fx->events = mem_grow(fx->events, fx->n_events + 1, sizeof(*fx->events));
	struct effects_event *ev = &fx->events[fx->n_events++];
	memset(ev, 0, sizeof(*ev));
	ev->seq = seq;
	strncpy(ev->id, id, sizeof(ev->id) - 1);
	ev->type = span_dup(type);
	ev->json = json;
	ev->len = len;
	return ev;
}

void effects_due(struct effects *fx, int64_t utc_us)
{
	if (fx->next_due == 0 || utc_us < fx->next_due)
		fx->next_due = utc_us;
}

// Credentials first, so that nothing below still reaches a lease that has ended; pollers and the loop last.
void effects_apply(struct control *c, struct effects *fx)
{
	if (fx->ended_work[0] != '\0')
		auth_end_token(c->auth, fx->ended_work, fx->ended_epoch);
	if (fx->token_begins)
		auth_add(c->auth, &fx->token);
	if (fx->n_events > 0)
		stream_hub_publish(c->hub, fx->session, fx->events, fx->n_events);
	if (fx->ended_work[0] != '\0')
		stream_hub_end_lease(c->hub, fx->ended_work, fx->ended_epoch);
	if (fx->deleted)
		stream_hub_end_session(c->hub, fx->session);
	if (fx->environment[0] != '\0')
		work_queue_changed(c->queue, fx->environment, fx->queued);
	if (fx->next_due != 0)
		work_queue_due(c->queue, fx->next_due);
	if (fx->dropped || fx->deleted)
		event_log_tell(c->log, fx->session, EVENT_LOG_DROPPED);
	if (fx->turn_due)
		event_log_tell(c->log, fx->session, EVENT_LOG_TURN_DUE);
}

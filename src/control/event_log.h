// Sessions' event logs: what happened, in order, and the state that follows from it.
//
// Every change to a session is one commit: events appended, status, open calls, work queued. It is published (to streams and to
// the agent loop) only when the commit is durable and its audit intent is held by the recorder; publication is in commit order.
//
// Order. Each event of a session has a number, `seq`. Input that waits for the next turn (user.message, system.message while a
// turn runs) has `processed_at` null; when a turn begins it is numbered anew, before that turn's span.model_request_start, so
// that the processed events in the order of seq are exactly what the agent has seen, and a turn is a function of them up to
// up_to_seq.
//
// Status. RUNNING means: a model request is due or under way. A session whose calls wait for a worker, a custom tool's client
// or a confirmation is IDLE with stop reason requires_action; the last answer makes it RUNNING in the answer's own commit.
//
// All calls are made on the loop's thread; callbacks come from the loop, never from inside the call.
#ifndef SALLYPORT_CONTROL_EVENT_LOG_H
#define SALLYPORT_CONTROL_EVENT_LOG_H

#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

struct event_log;

enum session_status { SESSION_IDLE, SESSION_RUNNING, SESSION_RESCHEDULING, SESSION_TERMINATED };

// What the agent loop is told, after a change is published.
enum event_log_change {
	EVENT_LOG_TURN_DUE, // RUNNING and no model request is open: begin a turn. Told again for each such session at start-up.
	EVENT_LOG_DROPPED,  // interrupted, archived or deleted: drop the model request; ending its turn would be ERR_CONFLICT
};
void event_log_on_change(struct event_log *log, void (*changed)(void *arg, const char *session, enum event_log_change what),
                         void *arg);
// Tells EVENT_LOG_TURN_DUE for every session that a crash left RUNNING or RESCHEDULING. A model request that was open then is
// ended by event_log_turn_begin itself (span.model_request_end with is_error). Called once, after on_change.
void event_log_resume(struct event_log *log);

struct event_view {
	int64_t seq;
	struct span id;
	struct span type;
	struct span json; // the whole event, compact
	struct span kept; // what was kept beside it (turn_end.events), compact; empty without
};

// A session as of one moment. Spans and arrays are valid inside the callback only.
struct session_view {
	enum session_status status;
	struct span environment;
	struct span agent_json; // the session's agent: model{id,…}, system, tools[], … as the API answers it, resolved
	struct span open_span;  // the span.model_request_start that has no end yet, else empty
	int64_t up_to_seq;      // of the last turn that began
	const struct event_view *events; // processed ones, after_seq < seq <= last_seq
	size_t n_events;
	int64_t last_seq; // of the last event, waiting ones included
};
// ERR_NOT_FOUND when there is no such session. With INT64_MAX as `after_seq` no events are read.
void event_log_read(struct event_log *log, const char *session, int64_t after_seq,
                    void (*done)(void *arg, const struct session_view *v, const struct err *e), void *arg);

// Begins a turn, in one commit: waiting input becomes processed, a RESCHEDULING session RUNNING, a span.model_request_start is
// appended. `span_id` names it, and the turn is a function of the processed events with seq <= up_to_seq. ERR_CONFLICT when no
// turn is due (interrupted or deleted meanwhile, calls open): nothing happened, forget it. Other errors: try again later.
void event_log_turn_begin(struct event_log *log, const char *session,
                          void (*done)(void *arg, const char *span_id, int64_t up_to_seq, const struct err *e), void *arg);

enum turn_next {
	TURN_SETTLE,  // open calls: idle, requires_action. Else no `stop_reason`, or input waiting: on to the next turn. Else
	              // idle.
	TURN_GIVE_UP, // as TURN_SETTLE, but idle also when input waits: it is in the log for the next turn, which a new
	              // message begins
	TURN_RESCHEDULE, // RESCHEDULING: the loop begins the turn again by itself, after its backoff
};

struct turn_end {
	const char *span_id; // from event_log_turn_begin
	// What the model answered, as event objects in their order, without processed_at; `id` may be given (announced by
	// event_start) or is made. Types: agent.message, agent.thinking, agent.tool_use (with evaluated_permission),
	// agent.custom_tool_use, agent.tool_result and user.tool_result (they close a call of this batch), session.error.
	// Taken; may be NULL. A member "kept" is taken out of the event and stored beside it, for the next turn and nobody
	// else: what the API does not show but the model must see again (a thinking block and its signature).
	json_t *events;
	bool is_error;       // of the span.model_request_end, which is appended behind the events
	json_t *model_usage; // of the span, summed into the session's; taken; NULL: zeros
	enum turn_next next;
	const char *stop_reason; // "end_turn", "retries_exhausted", "refusal"; NULL: the model wants to go on (tool results)
	json_t *stop_details;    // taken; NULL: null
};
// Ends the turn in one commit. ERR_CONFLICT: the turn is not open any more (see EVENT_LOG_DROPPED) and nothing was stored.
// Other errors: nothing was stored either; the same may be tried again (arguments are always taken: keep a copy).
void event_log_turn_end(struct event_log *log, const char *session, const struct turn_end *t,
                        void (*done)(void *arg, const struct err *e), void *arg);

// Sends event_start / event_delta objects to the streams that asked for previews of `type` ("agent.message",
// "agent.thinking"); never stored. `name` is the frame's: "event_start" or "event_delta".
void event_log_preview(struct event_log *log, const char *session, const char *type, const char *name, struct span json);

// A fresh event id ("sevt_…"), never used again even if no event of it is stored.
#define EVENT_ID_PREFIX "sevt"

#endif

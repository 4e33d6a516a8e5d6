// The event log's other side: what the rest of control calls.
#ifndef SALLYPORT_CONTROL_EVENT_LOG_STATE_H
#define SALLYPORT_CONTROL_EVENT_LOG_STATE_H

#include "control/control_state.h"
#include "control/event_log.h"

struct event_log *event_log_new(struct control *c);
void event_log_free(struct event_log *log);
struct control *event_log_control(const struct event_log *log);

// Tells the agent loop.
void event_log_tell(struct event_log *log, const char *session, enum event_log_change what);

#endif

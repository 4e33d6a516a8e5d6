// What a session's own log says about how its loop has fared: pure.
#ifndef SALLYPORT_CONTROL_AGENT_LOOP_HISTORY_H
#define SALLYPORT_CONTROL_AGENT_LOOP_HISTORY_H

#include "control/event_log.h"

struct agent_loop_history {
	unsigned failures; // model requests that failed in a row, the latest ones
	unsigned requests; // model requests since the latest word of a user
};

struct agent_loop_history agent_loop_history(const struct event_view *events, size_t n);

#endif

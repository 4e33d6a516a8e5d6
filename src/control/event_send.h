// Input to a session, inside a write transaction: what each event that a client sends does. On the store's thread.
#ifndef SALLYPORT_CONTROL_EVENT_SEND_H
#define SALLYPORT_CONTROL_EVENT_SEND_H

#include "control/calls.h"

struct event_send {
	json_t *events;        // checked (event_params.h); borrowed
	struct credential who; // who sends them
	json_t *stored;        // new array of texts: the stored events in the order of the request
	json_t *ids;           // their ids
};

// Applies all of them to the loaded session; the caller saves it.
MUST_USE struct result event_send_apply(struct session_tx *s, struct event_send *send, struct err *e);

#endif

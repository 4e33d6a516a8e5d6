// The events that clients send (managed-agents-api.md 2.14): checked member by member, errors name the path.
#ifndef SALLYPORT_CONTROL_EVENT_PARAMS_H
#define SALLYPORT_CONTROL_EVENT_PARAMS_H

#include "base/err.h"
#include "base/json.h"

#define EVENT_PARAMS_MAX 1000 // events of one request

enum event_kind {
	EVENT_MESSAGE,
	EVENT_SYSTEM,
	EVENT_INTERRUPT,
	EVENT_CONFIRMATION,
	EVENT_RESULT,
	EVENT_CUSTOM_RESULT,
};

// Checks `ev` ("events[2]" is its `where`) and tells its kind.
MUST_USE struct result event_params_check(const json_t *ev, const char *where, enum event_kind *kind, struct err *e);

// The array member `name` of a request's body: 1..max events, and system.message only last and behind input. *out borrowed.
MUST_USE struct result event_params_check_all(const json_t *body, const char *name, size_t max, json_t **out, struct err *e);

// Refuses members of `o` that are not in the NULL-terminated list.
MUST_USE struct result event_params_only(const json_t *o, const char *where, const char *const *names, struct err *e);

#endif

// Routes of a session's events (managed-agents-api.md 2.10 to 2.12).
#ifndef SALLYPORT_CONTROL_EVENTS_H
#define SALLYPORT_CONTROL_EVENTS_H

#include "control/op.h"

void events_send(struct request *r);
void events_list(struct request *r);
void events_stream(struct request *r);

#define EVENTS_REPEAT_US (60 * INT64_C(1000000))

// Whether the credential may touch a session of that environment: an API key, the environment's key, or the session's own
// token. ERR_DENIED otherwise.
MUST_USE struct result events_allowed(const struct credential *who, const char *session, const char *environment,
                                      struct err *e);

#endif

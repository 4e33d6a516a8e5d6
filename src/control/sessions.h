// Routes of sessions (managed-agents-api.md 3.3).
#ifndef SALLYPORT_CONTROL_SESSIONS_H
#define SALLYPORT_CONTROL_SESSIONS_H

#include "control/session_tx.h"

void sessions_create(struct request *r);
void sessions_list(struct request *r);
void sessions_get(struct request *r);
void sessions_update(struct request *r);
void sessions_archive(struct request *r);
void sessions_delete(struct request *r);
void sessions_resources(struct request *r);
void sessions_resource(struct request *r);
void sessions_threads(struct request *r);
void sessions_thread(struct request *r);

// Appends the session's object to the answer.
MUST_USE struct result sessions_answer(struct op *op, struct store_tx *tx, const char *id, struct err *e);

// The new session's agent: `agent` of the body resolved to the object that the session keeps. New.
MUST_USE struct result session_create_agent(struct store_tx *tx, json_t *agent, json_t **out, struct err *e);
// The body's resources, resolved. New.
MUST_USE struct result session_create_resources(const json_t *body, json_t **out, struct err *e);

#endif

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
void sessions_resources_add(struct request *r);
void sessions_threads(struct request *r);
void sessions_thread(struct request *r);
void sessions_thread_archive(struct request *r);

// Appends the session's object to the answer.
MUST_USE struct result sessions_answer(struct op *op, struct store_tx *tx, const char *id, struct err *e);

// The body's title as the session's row keeps it: JSON, or NULL. New.
MUST_USE struct result session_create_title(const json_t *body, char **out, struct err *e);

#endif

// Routes of agents and their versions (managed-agents-api.md 3.2).
#ifndef SALLYPORT_CONTROL_AGENTS_H
#define SALLYPORT_CONTROL_AGENTS_H

#include "control/op.h"

void agents_create(struct request *r);
void agents_list(struct request *r);
void agents_get(struct request *r);
void agents_update(struct request *r);
void agents_archive(struct request *r);
void agents_versions(struct request *r);

// The stored version (0: the newest) of an agent as a new object, without archived_at. ERR_NOT_FOUND names it; `archived`
// tells.
MUST_USE struct result agents_load(struct store_tx *tx, const char *id, int64_t version, json_t **out, bool *archived,
                                   struct err *e);

#endif

// Routes of environments (managed-agents-api.md 3.1), and those that the configuration names.
#ifndef SALLYPORT_CONTROL_ENVIRONMENTS_H
#define SALLYPORT_CONTROL_ENVIRONMENTS_H

#include "control/op.h"

void environments_create(struct request *r);
void environments_list(struct request *r);
void environments_get(struct request *r);
void environments_update(struct request *r);
void environments_delete(struct request *r);
void environments_archive(struct request *r);

// Makes sure that a configured environment is there, inside a transaction.
MUST_USE struct result environments_ensure(struct store_tx *tx, const struct config_environment *cfg, struct err *e);

#endif

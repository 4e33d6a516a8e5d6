// Keys that people make (managed-agents-api.md 1.4): the API key of the configuration, environment keys of configuration and
// command line. Only their hashes are kept.
#ifndef SALLYPORT_CONTROL_KEYS_H
#define SALLYPORT_CONTROL_KEYS_H

#include "base/json.h"
#include "control/op.h"
#include "net/admin.h"

// Before the first request: brings environments and keys of the configuration into the store and the table of credentials, and
// what the store holds of keys and of tokens whose leases live. Calls `done` once.
void keys_load(struct control *c, void (*done)(void *arg, const struct err *e), void *arg);

// Admin verbs "environment-key-create" {"environment":ID | "any":true, "name"?}, "environment-key-list" {"environment"?} and
// "environment-key-revoke" {"id"}.
void keys_admin_create(struct control *c, struct admin_request *a, const json_t *request);
void keys_admin_list(struct control *c, struct admin_request *a, const json_t *request);
void keys_admin_revoke(struct control *c, struct admin_request *a, const json_t *request);

#endif

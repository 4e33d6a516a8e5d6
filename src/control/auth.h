// Credentials (managed-agents-api.md 1.4): who is asking, told by the value alone whatever header carries it.
//
// The table holds SHA-256 hashes only and mirrors what is committed: a revoked key or a token whose lease has ended is refused
// by the next request. Secrets are compared in constant time.
#ifndef SALLYPORT_CONTROL_AUTH_H
#define SALLYPORT_CONTROL_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "base/span.h"
#include "net/http1.h"

#define AUTH_HASH_LEN 32

enum auth_kind {
	AUTH_NONE,
	AUTH_API,         // a client application
	AUTH_ENVIRONMENT, // a worker: one environment, or any
	AUTH_TOKEN,       // one lease of one work item
	AUTH_ENDED,       // a token whose lease has ended: good for being told so, on its own item only
};

struct credential {
	enum auth_kind kind;
	uint8_t hash[AUTH_HASH_LEN];
	char id[ID_MAX];          // the key's id; of a token: the work item's
	char environment[ID_MAX]; // "": any
	char session[ID_MAX];     // token: its session
	int64_t epoch;            // token: which lease of the item
};

struct auth;
struct auth *auth_new(void);
void auth_free(struct auth *a);

void auth_hash(struct span secret, uint8_t out[AUTH_HASH_LEN]);

// Adds it; one of the same hash is replaced.
void auth_add(struct auth *a, const struct credential *c);
// Forgets the key of that id.
void auth_revoke(struct auth *a, const char *key_id);
// Turns tokens of the item with an epoch up to `epoch` to AUTH_ENDED.
void auth_end_token(struct auth *a, const char *work_id, int64_t epoch);

// The credential of a request, from Authorization: Bearer or x-api-key; NULL when there is none that is known. Valid until the
// next change of the table.
const struct credential *auth_find(const struct auth *a, const struct http1_request *r);

#endif

// The sessions token inside a work item's secret (managed-agents-api.md 2.1).
#ifndef SALLYPORT_WORKER_TOKEN_H
#define SALLYPORT_WORKER_TOKEN_H

#include "base/span.h"

// A new string, or NULL when the secret is absent, does not decode, or holds no usable token: the environment key serves then.
// Either base64 alphabet, with or without padding, and unknown members are fine. The caller wipes it.
char *token_from_secret(struct span secret);

#endif

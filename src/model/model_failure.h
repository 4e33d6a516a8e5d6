// What a failed model request means: is it worth asking again, when, and what the session is told.
#ifndef SALLYPORT_MODEL_MODEL_FAILURE_H
#define SALLYPORT_MODEL_MODEL_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct model_failure {
	bool retry;              // asking again may help
	const char *type;        // of the session.error (managed-agents-api.md 2.14); static
	uint64_t retry_after_ms; // what the server asked for; 0: nothing
	char message[512];       // for people
};

// No whole answer came: not connected, cut off, silent for too long, or not what the protocol allows. Worth another try.
void model_failure_transport(struct model_failure *f, const char *what);

// Asking again can't help (no endpoint is configured, a request that is too large, …).
void model_failure_final(struct model_failure *f, const char *what);

// An HTTP error answer: its status, its body as far as it came, its retry-after field (NULL: none; seconds). Retried are 408,
// 409, 429 and everything from 500 on.
void model_failure_status(struct model_failure *f, int status, struct span body, const char *retry_after);

// An error event inside a stream, by the type of its error.
void model_failure_event(struct model_failure *f, struct span type, struct span message);

// How long to wait before asking again after the `failures`th failure in a row (from 1): half a second, doubling up to 30 s,
// less up to a quarter by `random` (any number); never less than what the server asked for, up to 5 minutes of it.
uint64_t model_failure_backoff_ms(const struct model_failure *f, unsigned failures, uint64_t random);

#endif

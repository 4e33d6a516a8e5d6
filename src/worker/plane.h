// The control plane as the worker asks it: JSON requests below one base URL, with the retries that the official clients make
// below every loop of their own (managed-agents-api.md 1.3 and 1.5).
#ifndef SALLYPORT_WORKER_PLANE_H
#define SALLYPORT_WORKER_PLANE_H

#include "base/json.h"
#include "net/http_client.h"
#include "net/loop.h"

struct plane;
struct plane_call;

struct plane_opts {
	const char *base_url;    // http or https, with or without a path
	const char *environment; // its id
	const char *key;         // the environment key
	const char *worker_id;
	const char *journal; // the id of our journal of calls
};

// All strings are copied. plane_free wipes the key and cancels every call.
MUST_USE struct result plane_new(struct loop *l, const struct plane_opts *opts, struct plane **out, struct err *e);
void plane_free(struct plane *p);
struct loop *plane_loop(const struct plane *p);
const char *plane_environment(const struct plane *p);
const char *plane_base_url(const struct plane *p);

struct plane_answer {
	int status;              // 0: no answer came
	bool ok;                 // 2xx; `body` was readable, or there was none
	bool fatal;              // a 4xx that asking again does not mend: all but 408, 409 and 429
	const json_t *body;      // NULL when empty or not JSON; borrowed
	const char *calls;       // the value of PROTOCOL_CALLS_FIELD, NULL without
	uint64_t retry_after_ms; // what the answer asks us to wait, 0 without
	struct err why;          // when not ok
};

struct plane_request {
	const char *method;
	const char *path;    // "/v1/…", encoded
	const char *token;   // NULL: the environment key
	struct span body;    // JSON, or empty
	size_t answer_max;   // 0: 1 MiB
	uint64_t timeout_ms; // of each try; 0: 60 s
	unsigned int tries;  // 0: 3, as the official clients
	bool names_worker;   // sends Anthropic-Worker-ID (polls)
	// Once, unless cancelled; the handle is invalid then.
	void (*done)(void *arg, const struct plane_answer *a);
	void *arg;
};

// Everything in the request is copied.
struct plane_call *plane_send(struct plane *p, const struct plane_request *r);
void plane_cancel(struct plane_call **c); // NULL is fine; no callback afterwards

// Starts a stream with our fields on it; the callbacks are http_call_opts's.
struct http_call *plane_stream(struct plane *p, const char *path, const char *token, const struct http_call_opts *callbacks);

// True for a status that ends a helper's loop (backoff.ts: isFatal4xx).
bool plane_is_fatal(int status);
// What an error answer's body says, shortened, as the message of `e`.
void plane_error(int status, const json_t *body, struct err *e);
// `base_ms` doubled `attempt` times, at most `cap_ms`, less up to a quarter at random (backoff.ts).
uint64_t plane_backoff(unsigned int attempt, uint64_t base_ms, uint64_t cap_ms);

// An identifier that may go into a path, a file name or a log line: 1 to `max` letters, digits, '_' and '-'.
bool plane_id_ok(struct span id, size_t max);

#endif

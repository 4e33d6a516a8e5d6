// Outbound HTTP by libcurl's multi interface on the loop. Not for the data path (see ARCHITECTURE.md).
//
// One client owns a connection pool. Requests run concurrently; answers come whole (`done`) or as they arrive (`on_data`).
#ifndef SALLYPORT_NET_HTTP_CLIENT_H
#define SALLYPORT_NET_HTTP_CLIENT_H

#include "base/err.h"
#include "base/span.h"
#include "net/loop.h"

struct http_client;
struct http_call;

struct http_client_opts {
	const char *user_agent;
	const char *proxy; // NULL: from the environment (HTTPS_PROXY, NO_PROXY); "": none
};

// SIGPIPE is ignored in this process from then on (children: reset it).
MUST_USE struct result http_client_new(struct loop *l, const struct http_client_opts *opts, struct http_client **out,
                                       struct err *e);
void http_client_free(struct http_client *c); // cancels every call

struct http_call_opts {
	const char *method;          // "GET", "POST", "DELETE"
	const char *url;             // http or https; redirects are never followed
	const char *const *fields;   // "Name: value" lines, NULL-terminated; copied. May be NULL.
	const char *ca_file;         // PEM file of the authorities to trust, read at each connection; NULL: the system's
	struct span body;            // copied; a POST without one sends Content-Length: 0
	uint64_t timeout_ms;         // for the whole exchange; 0: none (streams)
	uint64_t connect_timeout_ms; // 0: 10 s
	uint64_t silence_timeout_ms; // streams: without a byte for that long it fails; 0: none
	size_t body_max; // answers over it fail with ERR_TOO_LARGE (streams: counted per call too; 0: no limit on streams)

	// Once, when the status line and fields of the final answer are there. May be NULL.
	void (*on_head)(void *arg, int status);
	// Each piece as it comes; then `done` gets an empty body. May be NULL: the body is collected for `done`.
	void (*on_data)(void *arg, struct span bytes);
	// Exactly once unless cancelled. `e` is NULL when an answer came to its end, whatever its status; else why not
	// (ERR_UNREACHABLE, ERR_TOO_LARGE, ERR_INVALID). `status` is 0 when no head came. The call is over: its handle is
	// invalid.
	void (*done)(void *arg, int status, struct span body, const struct err *e);
	void *arg;
};

struct http_call *http_call_start(struct http_client *c, const struct http_call_opts *opts);
void http_call_cancel(struct http_call **h); // NULL is fine; no callback afterwards

// A field of the answer (last of that name), NULL if absent. Valid inside on_head, on_data and done.
const char *http_call_field(struct http_call *h, const char *name);

#endif

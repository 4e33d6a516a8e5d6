// An HTTP/1.1 server on the loop: listens, parses, bounds, and hands whole requests to one handler.
//
// A request's body is read in full before the handler runs (up to body_max; over it: 413). Requests on one connection are
// handled one after another. Slow or silent clients are cut by timeouts; connections are bounded. TLS is not here.
//
// What the server refuses by itself (400, 408, 413, 414, 431, 501, 503, 505) is answered in the API's shape
// (managed-agents-api.md 1.5), with a request id of its own, and ends the connection.
#ifndef SALLYPORT_NET_HTTP_SERVER_H
#define SALLYPORT_NET_HTTP_SERVER_H

#include "base/err.h"
#include "base/span.h"
#include "net/http1.h"
#include "net/loop.h"

struct http_server;
struct http_exchange; // one request and its answer

struct http_server_opts {
	const char *listen;       // "127.0.0.1:8400", "[::1]:0" (0: any free port)
	size_t body_max;          // bytes
	size_t connections_max;   // further ones wait in the kernel's backlog
	uint64_t head_timeout_ms; // from a request's first byte (or the accept) to its last
	uint64_t idle_timeout_ms; // keep-alive connections without a request
	uint64_t send_timeout_ms; // a client that takes no byte of its answer for so long is cut off; 0: 60 s
	size_t backlog_max;       // bytes of a stream that may wait for its client; 0: 4 MiB
	size_t bodies_max;        // bytes of all bodies held at once, over it 503; 0: 256 MiB
	// Called once a request; answers now or later. `x` lives until its answer has ended or `gone` was called.
	void (*handle)(void *arg, struct http_exchange *x);
	void *arg;
};

MUST_USE struct result http_server_start(struct loop *l, const struct http_server_opts *opts, struct http_server **out,
                                         struct err *e);
// Closes the listener and every connection; pending exchanges get their `gone` callback. Not from inside `handle`.
void http_server_stop(struct http_server **s);
// Stops accepting and ends connections as they become idle; `drained` once none is left.
void http_server_drain(struct http_server *s, void (*drained)(void *arg), void *arg);

// "127.0.0.1:8400" as bound.
const char *http_server_address(const struct http_server *s);

const struct http1_request *http_exchange_request(const struct http_exchange *x);
struct span http_exchange_body(const struct http_exchange *x); // decoded
const char *http_exchange_peer(const struct http_exchange *x); // "127.0.0.1:51234"

// Told when the client goes away before the answer has ended (connection closed, half-closed or reset). After it `x` is gone.
// Only one; without one `x` stays, and what is sent to it is dropped, until the handler ends it.
void http_exchange_on_gone(struct http_exchange *x, void (*gone)(void *arg), void *arg);

struct http_answer {
	int status;
	const char *content_type; // NULL: none
	const char *fields;       // further header lines, each "Name: value\r\n", or NULL
};

// A whole answer. The body is copied. Ends the exchange: `x` is gone afterwards.
void http_exchange_answer(struct http_exchange *x, const struct http_answer *a, struct span body);

// An answer of unknown length: the head goes out at once (chunked; HTTP/1.0: until close).
void http_exchange_stream(struct http_exchange *x, const struct http_answer *a);
// Queues bytes of the stream, in their order. A client that reads so slowly that more than `backlog_max` (4 MiB) is queued is
// cut off: `gone` is called from the loop, never from inside this call.
void http_exchange_send(struct http_exchange *x, struct span bytes);
// Bytes queued and not yet taken by the kernel.
size_t http_exchange_queued(const struct http_exchange *x);
// Ends the stream and the exchange.
void http_exchange_end(struct http_exchange *x);
// Cuts the connection at once, before or within an answer, so that the client sees a broken one. `x` is gone afterwards; no
// `gone` callback.
void http_exchange_abort(struct http_exchange *x);

#endif

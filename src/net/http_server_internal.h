// What the HTTP server's own files share. A connection goes round: HEAD, BODY, BUSY, FLUSH, and HEAD again.
#ifndef SALLYPORT_NET_HTTP_SERVER_INTERNAL_H
#define SALLYPORT_NET_HTTP_SERVER_INTERNAL_H

#include <netinet/in.h>

#include "base/buf.h"
#include "net/http_server.h"
#include "net/listener.h"

#define HTTP_SCRATCH 65536
#define HTTP_PEER_MAX 64
#define HTTP_PARTS_MAX 3

union http_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct http_server {
	struct loop *loop;
	struct http_server_opts opts; // defaults filled in; `listen` is not kept
	struct listener *listener;    // NULL once it stops
	char address[HTTP_PEER_MAX];
	struct http_conn *conns;
	size_t n_conns;
	size_t body_bytes; // held in all connections' bodies
	bool draining;
	void (*drained)(void *arg);
	void *drained_arg;
	struct loop_timer *drained_soon;
	struct http_exchange *spare; // a few freed ones, to be used again
	size_t n_spare;
	struct buf head; // where answers' heads are composed
	time_t date_s;
	char date[32];
	char scratch[HTTP_SCRATCH]; // where every connection reads, so that an idle one holds no memory for it
};

enum http_conn_state {
	HTTP_CONN_HEAD,  // between requests or inside a head
	HTTP_CONN_BODY,  // reading the body of `x`
	HTTP_CONN_BUSY,  // the handler has `x`
	HTTP_CONN_FLUSH, // the answer has ended; its last bytes wait for the client
	HTTP_CONN_LINGER // nothing more is sent; input is drained, lest a reset eats the answer before the client has read it
};

struct http_conn {
	struct http_server *server;
	struct http_conn *prev, *next;
	int fd;
	enum http_conn_state state;
	bool running;     // inside http_conn_run
	bool broken;      // the client can't be reached or was cut off
	bool eof;         // the client sends no more
	bool close_after; // this answer is the connection's last
	bool linger;      // the client may still be sending
	struct loop_fd *watch;
	struct loop_timer *kick; // run once more in the next turn
	struct loop_timer *timer;
	uint64_t timer_ms;    // when `timer` fires
	uint64_t deadline_ms; // 0: none. The timer may fire earlier, and is then set anew.
	size_t seen;          // bytes of `in` in which the parser found no whole head
	size_t drained;       // bytes thrown away in LINGER
	struct http_exchange *x;
	struct buf in, out;
	char peer[HTTP_PEER_MAX];
};

struct http_exchange {
	struct http_conn *conn; // NULL: the client has gone and nobody had asked to be told
	struct loop *loop;
	void (*gone)(void *arg);
	void *gone_arg;
	struct loop_timer *gone_soon;
	bool streaming;
	bool chunked;
	bool bodiless;   // HEAD, 204, 304
	struct buf raw;  // the head, and the body when it came along with it
	struct buf body; // else
	struct span body_span;
	struct http1_chunks chunks;
	char peer[HTTP_PEER_MAX];
	struct http_exchange *next_spare;
	struct http1_request request;
};

void http_conn_start(struct http_server *s, int fd, const union http_address *peer);
// Does whatever the connection's state and buffers allow.
void http_conn_run(struct http_conn *c);
void http_conn_run_soon(struct http_conn *c);
// The exchange has ended: goes on to the next request, never from inside this call.
void http_conn_answered(struct http_conn *c);
void http_conn_close(struct http_conn *c); // tells the exchange
bool http_conn_is_idle(const struct http_conn *c);
// Sends or queues; a failure marks the connection broken.
void http_conn_write(struct http_conn *c, const struct span *parts, int n);
// An answer of the server's own, after which the connection ends.
void http_conn_refuse(struct http_conn *c, int status, const char *why);

struct http_exchange *http_exchange_new(struct http_conn *c);
void http_exchange_free(struct http_exchange *x);
// The connection is closing; then, when it is gone, the handler is told, or `x` waits until it is answered all the same.
void http_exchange_detach(struct http_exchange *x);
void http_exchange_tell_gone(struct http_exchange *x);
// Composes an answer's head in the server's buffer. `length` < 0: none is known.
struct span http_exchange_head(struct http_conn *c, struct http_exchange *x, const struct http_answer *a, int64_t length);

void http_server_conn_closed(struct http_server *s);
void http_address_text(const union http_address *a, char out[HTTP_PEER_MAX]);

#endif

#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_server_internal.h"

#define ACCEPT_BATCH 64
#define BACKLOG_MAX (4U << 20)
#define BODIES_MAX (256U << 20)
#define SEND_TIMEOUT_MS 60000

void http_address_text(const union http_address *a, char out[HTTP_PEER_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";
	if (a->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof(host));
		snprintf(out, HTTP_PEER_MAX, "[%s]:%u", host, ntohs(a->v6.sin6_port));
	} else {
		inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof(host));
		snprintf(out, HTTP_PEER_MAX, "%s:%u", host, ntohs(a->v4.sin_port));
	}
}

// "HOST:PORT" or "[V6]:PORT".
static struct result resolve(const char *listen, struct addrinfo **out, struct err *e)
{
	struct span all = span_of(listen);
	const char *colon = strrchr(listen, ':');
	uint64_t port;
	if (colon == NULL || colon == listen)
		return err_set(e, ERR_INVALID, "listen: '%s' is not ADDRESS:PORT, such as 127.0.0.1:8400", listen);
	TRY(span_to_u64(span_of(colon + 1), 65535, "listen: port", &port, e));
	struct span host = span_head(all, (size_t)(colon - listen));
	if (host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_skip(span_head(host, host.len - 1), 1);
	AUTO_FREE char *name = span_dup(host);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
	int r = getaddrinfo(name, colon + 1, &hints, out);
	if (r != 0)
		return err_set(e, ERR_INVALID, "listen: '%s': %s", listen, gai_strerror(r));
	return OK;
}

// Accepted sockets inherit all of these, which saves their calls on each.
static bool set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
	        {SOL_SOCKET, SO_REUSEADDR, 1},
	        {IPPROTO_TCP, TCP_NODELAY, 1},
	        // A client whose machine has vanished is noticed after about a minute and a half.
	        {SOL_SOCKET, SO_KEEPALIVE, 1},
	        {IPPROTO_TCP, TCP_KEEPIDLE, 45},
	        {IPPROTO_TCP, TCP_KEEPINTVL, 15},
	        {IPPROTO_TCP, TCP_KEEPCNT, 3},
	};
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int)) != 0)
			return false;
	}
	return true;
}

static struct result open_listener(const char *where, int *out, char address[HTTP_PEER_MAX], struct err *e)
{
	struct addrinfo *ai = NULL;
	TRY(resolve(where, &ai, e));
	AUTO_FD int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool bound = fd >= 0 && set_options(fd) && bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 4096) == 0;
	freeaddrinfo(ai);
	if (!bound && errno == EADDRINUSE)
		return err_set(e, ERR_CONFLICT, "listen on %s: the port is taken; stop its owner or configure another", where);
	if (!bound)
		return err_sys(e, "listen on %s", where);
	union http_address a = {0};
	socklen_t len = sizeof(a);
	if (getsockname(fd, &a.any, &len) != 0)
		return err_sys(e, "getsockname");
	http_address_text(&a, address);
	*out = STEAL_FD(fd);
	return OK;
}

static void tell_room(struct http_server *s)
{
	if (s->listener != NULL)
		listener_room(s->listener, s->n_conns < s->opts.connections_max);
}

static void incoming(void *arg)
{
	struct http_server *s = arg;
	for (int i = 0; i < ACCEPT_BATCH && s->n_conns < s->opts.connections_max; i++) {
		union http_address peer = {0};
		socklen_t len = sizeof(peer);
		int fd = listener_accept(s->listener, &peer.any, &len);
		if (fd < 0)
			break;
		http_conn_start(s, fd, &peer);
	}
	tell_room(s);
}

struct result http_server_start(struct loop *l, const struct http_server_opts *opts, struct http_server **out, struct err *e)
{
	struct http_server *s = NEW(struct http_server);
	int fd = -1;
	if (failed(open_listener(opts->listen, &fd, s->address, e))) {
		free(s);
		return FAIL;
	}
	s->loop = l;
	s->opts = *opts;
	s->opts.listen = NULL;
	if (s->opts.backlog_max == 0)
		s->opts.backlog_max = BACKLOG_MAX;
	if (s->opts.bodies_max == 0)
		s->opts.bodies_max = s->opts.body_max > BODIES_MAX ? s->opts.body_max : BODIES_MAX;
	if (s->opts.send_timeout_ms == 0)
		s->opts.send_timeout_ms = SEND_TIMEOUT_MS;
	buf_init(&s->head, 1 << 20);
	s->listener = listener_start(l, fd, s->address, incoming, s);
	*out = s;
	return OK;
}

void http_server_stop(struct http_server **sp)
{
	struct http_server *s = STEAL(*sp);
	if (s == NULL)
		return;
	s->draining = false;
	listener_stop(&s->listener);
	while (s->conns != NULL)
		http_conn_close(s->conns);
	loop_timer_cancel(&s->drained_soon);
	while (s->spare != NULL) {
		struct http_exchange *x = s->spare;
		s->spare = x->next_spare;
		free(x);
	}
	buf_fini(&s->head);
	free(s);
}

static void tell_drained(void *arg)
{
	struct http_server *s = arg;
	s->drained_soon = NULL;
	s->drained(s->drained_arg);
}

void http_server_conn_closed(struct http_server *s)
{
	if (s->draining && s->n_conns == 0 && s->drained_soon == NULL)
		s->drained_soon = loop_timer_start(s->loop, 0, tell_drained, s);
	tell_room(s);
}

void http_server_drain(struct http_server *s, void (*drained)(void *arg), void *arg)
{
	BUG_ON(s->draining);
	s->drained = drained;
	s->drained_arg = arg;
	listener_stop(&s->listener);
	struct http_conn *next;
	for (struct http_conn *c = s->conns; c != NULL; c = next) {
		next = c->next;
		if (http_conn_is_idle(c))
			http_conn_close(c);
	}
	s->draining = true;
	http_server_conn_closed(s);
}

const char *http_server_address(const struct http_server *s)
{
	return s->address;
}

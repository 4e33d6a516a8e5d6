#include "net/admin.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/local_socket.h"

#define CONNECTIONS_MAX 64

struct admin_server {
	struct loop *loop;
	char *path;
	struct listener *listener;
	struct admin_conn *conns;
	size_t n_conns;
	void (*handle)(void *arg, struct admin_request *r, struct span verb, const json_t *request);
	void *arg;
};

struct admin_conn {
	struct admin_server *server;
	struct admin_conn *prev, *next;
	int fd;
	struct loop_fd *watch;
	struct loop_timer *kick;
	struct admin_request *asked; // the one request being answered; what follows waits
	struct buf in, out;
	size_t scanned; // bytes of `in` known to hold no line's end
	bool closing;   // after what is queued is sent
	bool broken;
	bool running;
};

struct admin_request {
	struct admin_conn *conn; // NULL: the asker has gone
	json_t *json;
};

static void tell_room(struct admin_server *s)
{
	listener_room(s->listener, s->n_conns < CONNECTIONS_MAX);
}

static void conn_close(struct admin_conn *c)
{
	struct admin_server *s = c->server;
	if (c->asked != NULL)
		c->asked->conn = NULL;
	loop_fd_cancel(&c->watch);
	loop_timer_cancel(&c->kick);
	fd_close(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	*(c->prev == NULL ? &s->conns : &c->prev->next) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	s->n_conns--;
	free(c);
	tell_room(s);
}

static void queue_line(struct admin_conn *c, json_t *answer)
{
	size_t len;
	AUTO_FREE char *text = json_text(answer, &len);
	json_decref(answer);
	// It held at most one line before: the next request is only taken when all is sent.
	if (len >= ADMIN_LINE_MAX)
		BUG_ON(!buf_add_str(&c->out, "{\"ok\":false,\"error\":\"the answer is larger than 1 MiB\"}\n"));
	else
		BUG_ON(!buf_add(&c->out, span_from(text, len)) || !buf_add_str(&c->out, "\n"));
}

static json_t *refusal(const char *why)
{
	json_t *j = json_object();
	json_object_set_new(j, "ok", json_false());
	json_object_set_new(j, "error", json_string_lossy(span_of(why)));
	return j;
}

static void take_line(struct admin_conn *c, struct span line)
{
	struct err e;
	json_t *j;
	struct span verb = {0};
	if (failed(json_parse_object(line, "the request", &j, &e))) {
		queue_line(c, refusal(e.msg));
		return;
	}
	if (failed(json_get_string(j, "", "do", &verb, &e))) {
		json_decref(j);
		queue_line(c, refusal(e.msg));
		return;
	}
	struct admin_request *r = NEW(struct admin_request);
	*r = (struct admin_request){c, j};
	c->asked = r;
	c->server->handle(c->server->arg, r, verb, j);
}

// The next whole line, if there is one and the last was answered. True when something was done.
static bool next_line(struct admin_conn *c)
{
	struct span in = buf_span(&c->in);
	if (c->asked != NULL || buf_len(&c->out) > 0 || in.len == c->scanned)
		return false;
	const char *lf = memchr(in.data + c->scanned, '\n', in.len - c->scanned);
	size_t n = lf == NULL ? in.len : (size_t)(lf - in.data);
	c->scanned = lf == NULL ? n : 0;
	if (n >= ADMIN_LINE_MAX) {
		queue_line(c, refusal("the request is larger than 1 MiB"));
		c->closing = true;
	} else if (lf != NULL) {
		AUTO_FREE char *line = span_dup(span_head(in, n));
		buf_consume(&c->in, n + 1);
		take_line(c, span_from(line, n));
	}
	return lf != NULL || c->closing;
}

static void flush(struct admin_conn *c)
{
	struct span left = buf_span(&c->out);
	ssize_t n = left.len == 0 ? 0 : send(c->fd, left.data, left.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		buf_consume(&c->out, (size_t)n);
	else
		c->broken = errno != EAGAIN && errno != EINTR;
}

static void conn_run(struct admin_conn *c)
{
	c->running = true;
	do
		flush(c);
	while (!c->broken && !c->closing && next_line(c));
	flush(c);
	c->running = false;
	size_t queued = buf_len(&c->out);
	if (c->broken || (c->closing && queued == 0)) {
		conn_close(c);
		return;
	}
	bool in = !c->closing && c->in.max - buf_len(&c->in) > 0;
	loop_fd_watch(c->watch, (in ? EPOLLIN : 0U) | (queued > 0 ? EPOLLOUT : 0U));
}

static void kicked(void *arg)
{
	struct admin_conn *c = arg;
	c->kick = NULL;
	conn_run(c);
}

static void conn_ready(void *arg, uint32_t events)
{
	struct admin_conn *c = arg;
	size_t room = c->in.max - buf_len(&c->in);
	if (events & EPOLLIN && room > 0) {
		size_t want = room < 16384 ? room : 16384;
		char *to = buf_reserve(&c->in, want);
		ssize_t n = recv(c->fd, to, want, MSG_DONTWAIT);
		if (n > 0)
			buf_commit(&c->in, (size_t)n);
		else
			c->broken = n == 0 || (errno != EAGAIN && errno != EINTR);
	}
	conn_run(c);
}

static void conn_start(struct admin_server *s, int fd)
{
	struct admin_conn *c = NEW(struct admin_conn);
	c->server = s;
	c->fd = fd;
	buf_init(&c->in, ADMIN_LINE_MAX + 1);
	buf_init(&c->out, 2 * ADMIN_LINE_MAX);
	c->next = s->conns;
	if (c->next != NULL)
		c->next->prev = c;
	s->conns = c;
	s->n_conns++;
	c->watch = loop_fd_start(s->loop, fd, EPOLLIN, conn_ready, c);
}

static void incoming(void *arg)
{
	struct admin_server *s = arg;
	struct ucred peer = {0};
	AUTO_FD int fd = listener_accept(s->listener, NULL, NULL);
	if (fd < 0)
		return;
	if (local_socket_trusted(fd, &peer))
		conn_start(s, STEAL_FD(fd));
	else
		log_warn("admin.refused", "uid=%u", (unsigned)peer.uid);
	tell_room(s);
}

struct result admin_server_start(struct loop *l, const char *path,
                                 void (*handle)(void *arg, struct admin_request *r, struct span verb, const json_t *request),
                                 void *arg, struct admin_server **out, struct err *e)
{
	int fd = -1;
	TRY(local_socket_listen(path, &fd, e));
	struct admin_server *s = NEW(struct admin_server);
	*s = (struct admin_server){.loop = l, .path = mem_strdup(path), .handle = handle, .arg = arg};
	s->listener = listener_start(l, fd, path, incoming, s);
	*out = s;
	return OK;
}

void admin_server_stop(struct admin_server **sp)
{
	struct admin_server *s = STEAL(*sp);
	if (s == NULL)
		return;
	struct admin_conn *next;
	for (struct admin_conn *c = s->conns; c != NULL; c = next) {
		next = c->next;
		conn_close(c);
	}
	listener_stop(&s->listener);
	unlink(s->path);
	free(s->path);
	free(s);
}

static void settle(struct admin_request *r, json_t *answer)
{
	struct admin_conn *c = r->conn;
	json_decref(r->json);
	free(r);
	if (c == NULL) {
		json_decref(answer);
		return;
	}
	c->asked = NULL;
	queue_line(c, answer);
	if (!c->running && c->kick == NULL)
		c->kick = loop_timer_start(c->server->loop, 0, kicked, c);
}

void admin_answer(struct admin_request *r, json_t *answer)
{
	BUG_ON(!json_is_object(answer));
	if (json_object_get(answer, "ok") == NULL)
		json_object_set_new(answer, "ok", json_true());
	settle(r, answer);
}

void admin_refuse(struct admin_request *r, const char *fmt, ...)
{
	char why[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	settle(r, refusal(why));
}

// One client's connection: reads, parses, bounds, times out, and calls the handler.
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/http_server_internal.h"

#define PIPELINED_MAX 32768 // bytes read ahead of the request being handled
#define LINGER_MS 2000
#define LINGER_BYTES (16U << 20)

static void ran_out(void *arg);

// Most requests only move the deadline; the timer is set anew when it would fire too late, or has fired too early.
static void set_deadline(struct http_conn *c, uint64_t ms)
{
	uint64_t due = ms == 0 ? 0 : clock_mono_ms() + ms;
	c->deadline_ms = due;
	if (due == 0 || (c->timer != NULL && c->timer_ms <= due))
		return;
	loop_timer_cancel(&c->timer);
	c->timer_ms = due;
	c->timer = loop_timer_start(c->server->loop, ms, ran_out, c);
}

static void ran_out(void *arg)
{
	struct http_conn *c = arg;
	c->timer = NULL;
	uint64_t now = clock_mono_ms();
	if (c->deadline_ms == 0)
		return;
	if (now < c->deadline_ms) {
		set_deadline(c, c->deadline_ms - now);
		return;
	}
	bool asked = c->state == HTTP_CONN_BODY || (c->state == HTTP_CONN_HEAD && buf_len(&c->in) > 0);
	if (!asked || c->broken) {
		http_conn_close(c);
		return;
	}
	http_conn_refuse(c, 408, "the request did not arrive in time");
	http_conn_run(c);
}

static void update_watch(struct http_conn *c)
{
	bool behind = c->state == HTTP_CONN_BUSY || c->state == HTTP_CONN_FLUSH;
	bool in = !c->eof && !(behind && buf_len(&c->in) >= PIPELINED_MAX);
	loop_fd_watch(c->watch, (in ? EPOLLIN : 0U) | (buf_len(&c->out) > 0 ? EPOLLOUT : 0U));
}

bool http_conn_is_idle(const struct http_conn *c)
{
	return c->state == HTTP_CONN_HEAD && buf_len(&c->in) == 0;
}

static void kicked(void *arg)
{
	struct http_conn *c = arg;
	c->kick = NULL;
	http_conn_run(c);
}

void http_conn_run_soon(struct http_conn *c)
{
	if (!c->running && c->kick == NULL)
		c->kick = loop_timer_start(c->server->loop, 0, kicked, c);
}

void http_conn_close(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct http_exchange *x = STEAL(c->x);
	if (x != NULL && c->state != HTTP_CONN_BUSY) // the handler has not seen it
		http_exchange_free(STEAL(x));
	if (x != NULL)
		http_exchange_detach(x);
	loop_fd_cancel(&c->watch);
	loop_timer_cancel(&c->timer);
	loop_timer_cancel(&c->kick);
	fd_close(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	*(c->prev == NULL ? &s->conns : &c->prev->next) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	s->n_conns--;
	free(c);
	http_server_conn_closed(s);
	if (x != NULL)
		http_exchange_tell_gone(x);
}

// How much the kernel takes at once.
static size_t send_now(struct http_conn *c, const struct span *parts, int n)
{
	struct iovec iov[HTTP_PARTS_MAX];
	for (int i = 0; i < n; i++)
		iov[i] = (struct iovec){(void *)parts[i].data, parts[i].len};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
	ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	c->broken = sent < 0 && errno != EAGAIN && errno != EINTR;
	return sent < 0 ? 0 : (size_t)sent;
}

void http_conn_write(struct http_conn *c, const struct span *parts, int n)
{
	BUG_ON(n > HTTP_PARTS_MAX);
	if (c->broken)
		return;
	bool was_empty = buf_len(&c->out) == 0;
	size_t skip = was_empty ? send_now(c, parts, n) : 0;
	if (c->broken) {
		http_conn_run_soon(c);
		return;
	}
	for (int i = 0; i < n; i++) {
		struct span left = span_skip(parts[i], skip);
		skip -= parts[i].len - left.len;
		BUG_ON(left.len > 0 && !buf_add(&c->out, left));
	}
	if (was_empty && buf_len(&c->out) > 0) {
		set_deadline(c, c->server->opts.send_timeout_ms);
		update_watch(c);
	}
}

static void flush(struct http_conn *c)
{
	struct span left = buf_span(&c->out);
	ssize_t sent = send(c->fd, left.data, left.len, MSG_NOSIGNAL);
	if (sent < 0) {
		c->broken = errno != EAGAIN && errno != EINTR;
		return;
	}
	buf_consume(&c->out, (size_t)sent);
	if (buf_len(&c->out) == 0)
		buf_fini(&c->out);
	// Progress was made. In BUSY with nothing queued the handler may take its time; other states set theirs when run.
	set_deadline(c, buf_len(&c->out) == 0 ? 0 : c->server->opts.send_timeout_ms);
}

static void receive(struct http_conn *c)
{
	struct http_server *s = c->server;
	ssize_t got = recv(c->fd, s->scratch, sizeof(s->scratch), 0);
	if (got < 0) {
		c->broken = errno != EAGAIN && errno != EINTR;
		return;
	}
	if (got == 0) {
		// A client that sends no more while it is owed an answer has gone: the official SDKs and curl never half-close.
		c->eof = c->close_after = true;
		c->broken = c->state != HTTP_CONN_FLUSH;
		return;
	}
	if (c->state == HTTP_CONN_LINGER) {
		c->drained += (size_t)got;
		c->broken = c->drained > LINGER_BYTES;
		return;
	}
	if (http_conn_is_idle(c))
		set_deadline(c, s->opts.head_timeout_ms);
	// The room is there: no state reads on once it holds 32 KiB, and one read brings 64.
	BUG_ON(!buf_add(&c->in, span_from(s->scratch, (size_t)got)));
}

static void conn_ready(void *arg, uint32_t events)
{
	struct http_conn *c = arg;
	if (events & EPOLLOUT && buf_len(&c->out) > 0)
		flush(c);
	if (events & EPOLLIN && !c->broken)
		receive(c);
	http_conn_run(c);
}

void http_conn_start(struct http_server *s, int fd, const union http_address *peer)
{
	struct http_conn *c = NEW(struct http_conn);
	c->server = s;
	c->fd = fd;
	http_address_text(peer, c->peer);
	buf_init(&c->in, HTTP1_HEAD_MAX + HTTP_SCRATCH);
	buf_init(&c->out, SIZE_MAX / 4);
	c->next = s->conns;
	if (c->next != NULL)
		c->next->prev = c;
	s->conns = c;
	s->n_conns++;
	c->watch = loop_fd_start(s->loop, fd, EPOLLIN, conn_ready, c);
	set_deadline(c, s->opts.head_timeout_ms);
}

void http_conn_refuse(struct http_conn *c, int status, const char *why)
{
	if (c->x != NULL)
		http_exchange_free(STEAL(c->x));
	buf_fini(&c->in);
	c->state = HTTP_CONN_FLUSH;
	c->close_after = c->linger = true;
	char id[ID_MAX], fields[128];
	id_make(id, "req");
	log_debug("http.refused", "peer=%s status=%d request=%s why=%s", c->peer, status, id, LOG_Q(span_of(why)));
	AUTO_JSON json_t *j = json_pack("{s:s, s:{s:s, s:s}, s:s}", "type", "error", "error", "type",
	                                status == 413   ? "request_too_large"
	                                : status == 503 ? "overloaded_error"
	                                                : "invalid_request_error",
	                                "message", why, "request_id", id);
	BUG_ON(j == NULL);
	size_t len;
	AUTO_FREE char *body = json_text(j, &len);
	snprintf(fields, sizeof(fields), "request-id: %s\r\n%s", id, status == 503 ? "retry-after: 1\r\n" : "");
	struct http_answer a = {.status = status, .content_type = "application/json", .fields = fields};
	struct span parts[2] = {http_exchange_head(c, NULL, &a, (int64_t)len), {body, len}};
	set_deadline(c, c->server->opts.send_timeout_ms);
	http_conn_write(c, parts, 2);
}

// The head is whole: moves its bytes into a new exchange, and what follows it back into `in`.
static void begin(struct http_conn *c, struct http_exchange *x, size_t used)
{
	struct span rest = span_skip(buf_span(&c->in), used);
	x->raw = c->in; // the request's spans point into that memory
	buf_init(&c->in, c->in.max);
	c->seen = 0;
	const struct http1_request *q = &x->request;
	x->bodiless = span_is(q->method, "HEAD");
	x->chunked = q->minor == 1;
	if (!q->chunked && q->length <= rest.len) {
		x->body_span = span_head(rest, (size_t)q->length);
		rest = span_skip(rest, (size_t)q->length);
		c->state = HTTP_CONN_BUSY;
	} else {
		c->state = HTTP_CONN_BODY;
	}
	BUG_ON(!buf_add(&c->in, rest));
	c->close_after |= !q->keep_alive;
	c->x = x;
	if (c->state == HTTP_CONN_BODY && q->expect_continue && rest.len == 0) {
		http_conn_write(c, &SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"), 1);
		set_deadline(c, c->server->opts.head_timeout_ms);
	}
}

// A head is only parsed again when another line of it is whole, so that one that comes byte by byte costs little. A first line
// that never ends is judged by the parser.
static bool worth_parsing(struct http_conn *c)
{
	struct span in = buf_span(&c->in), fresh = span_skip(in, c->seen);
	bool first = c->seen == 0;
	c->seen = in.len;
	return first || in.len > HTTP1_HEAD_MAX / 2 || memchr(fresh.data, '\n', fresh.len) != NULL;
}

// True when the state has moved on.
static bool run_head(struct http_conn *c)
{
	struct http_server *s = c->server;
	if (buf_len(&c->in) == 0) {
		buf_fini(&c->in);
		if (s->draining)
			c->broken = true;
		return false;
	}
	if (!worth_parsing(c))
		return false;
	struct http_exchange *x = http_exchange_new(c);
	struct err e = {0};
	size_t used = 0;
	int status = 0;
	enum http1_progress p = http1_parse_request(buf_span(&c->in), &x->request, &used, &status, &e);
	if (p == HTTP1_DONE && x->request.has_length && x->request.length > s->opts.body_max) {
		p = HTTP1_BAD;
		status = 413;
		err_set(&e, ERR_TOO_LARGE, "the body is larger than %zu bytes", s->opts.body_max);
	}
	if (p == HTTP1_DONE) {
		begin(c, x, used);
		return true;
	}
	http_exchange_free(x);
	if (p == HTTP1_BAD)
		http_conn_refuse(c, status, e.msg);
	return p == HTTP1_BAD;
}

static bool run_body(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct http_exchange *x = c->x;
	struct err e;
	enum http1_progress p;
	size_t before = buf_len(&x->body);
	if (x->request.chunked) {
		p = http1_chunks_decode(&x->chunks, &c->in, &x->body, &e);
	} else {
		struct span part = span_head(buf_span(&c->in), (size_t)x->request.length - before);
		BUG_ON(!buf_add(&x->body, part));
		buf_consume(&c->in, part.len);
		p = buf_len(&x->body) == x->request.length ? HTTP1_DONE : HTTP1_MORE;
	}
	s->body_bytes += buf_len(&x->body) - before;
	if (p == HTTP1_BAD) {
		http_conn_refuse(c, e.kind == ERR_TOO_LARGE ? 413 : 400, e.msg);
	} else if (s->body_bytes > s->opts.bodies_max) {
		http_conn_refuse(c, 503, "too many large requests at once");
	} else if (p == HTTP1_DONE) {
		x->body_span = buf_span(&x->body);
		c->state = HTTP_CONN_BUSY;
	}
	return p != HTTP1_MORE || c->state != HTTP_CONN_BODY;
}

// Hands the exchange to the handler, which may end it at once.
static void run_handler(struct http_conn *c)
{
	set_deadline(c, 0);
	c->server->opts.handle(c->server->opts.arg, c->x);
}

static bool run_flush(struct http_conn *c)
{
	if (buf_len(&c->out) > 0)
		return false;
	if (!c->close_after) {
		c->state = HTTP_CONN_HEAD;
		set_deadline(c, buf_len(&c->in) > 0 ? c->server->opts.head_timeout_ms : c->server->opts.idle_timeout_ms);
		return true;
	}
	if (c->eof || !(c->linger || buf_len(&c->in) > 0) || shutdown(c->fd, SHUT_WR) != 0) {
		c->broken = true;
		return false;
	}
	buf_fini(&c->in);
	c->state = HTTP_CONN_LINGER;
	set_deadline(c, LINGER_MS);
	return false;
}

void http_conn_answered(struct http_conn *c)
{
	c->x = NULL;
	c->state = HTTP_CONN_FLUSH;
	if (c->running)
		return;
	if (c->broken || c->close_after || buf_len(&c->in) > 0)
		http_conn_run_soon(c);
	else
		run_flush(c); // most often all is sent and nothing waits: no turn of its own is needed
}

void http_conn_run(struct http_conn *c)
{
	BUG_ON(c->running);
	c->running = true;
	bool go = true;
	while (go && !c->broken) {
		enum http_conn_state before = c->state;
		switch (c->state) {
		case HTTP_CONN_HEAD:
			go = run_head(c);
			break;
		case HTTP_CONN_BODY:
			go = run_body(c);
			break;
		case HTTP_CONN_FLUSH:
			go = run_flush(c);
			break;
		case HTTP_CONN_BUSY:
		case HTTP_CONN_LINGER:
			go = false;
			break;
		}
		if (before != HTTP_CONN_BUSY && c->state == HTTP_CONN_BUSY && !c->broken)
			run_handler(c);
	}
	c->running = false;
	if (c->broken)
		http_conn_close(c);
	else
		update_watch(c);
}

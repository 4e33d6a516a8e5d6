// One request and its answer.
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_server_internal.h"

#define SPARE_MAX 64

struct http_exchange *http_exchange_new(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct http_exchange *x = s->spare;
	if (x != NULL) {
		s->spare = x->next_spare;
		s->n_spare--;
	} else {
		x = mem_alloc(sizeof(*x));
	}
	memset(x, 0, offsetof(struct http_exchange, request)); // the parser sets up the request
	x->conn = c;
	x->loop = s->loop;
	memcpy(x->peer, c->peer, sizeof(x->peer));
	buf_init(&x->body, s->opts.body_max);
	return x;
}

void http_exchange_free(struct http_exchange *x)
{
	struct http_server *s = x->conn == NULL ? NULL : x->conn->server;
	if (s != NULL)
		s->body_bytes -= buf_len(&x->body);
	loop_timer_cancel(&x->gone_soon);
	buf_fini(&x->raw);
	buf_fini(&x->body);
	if (s == NULL || s->n_spare == SPARE_MAX) {
		free(x);
		return;
	}
	x->next_spare = s->spare;
	s->spare = x;
	s->n_spare++;
}

void http_exchange_detach(struct http_exchange *x)
{
	x->conn->server->body_bytes -= buf_len(&x->body);
	x->conn = NULL;
}

void http_exchange_tell_gone(struct http_exchange *x)
{
	if (x->gone == NULL)
		return; // it waits for its handler
	void (*gone)(void *) = x->gone;
	void *gone_arg = x->gone_arg;
	http_exchange_free(x);
	gone(gone_arg);
}

static void tell_later(void *arg)
{
	struct http_exchange *x = arg;
	x->gone_soon = NULL;
	http_exchange_tell_gone(x);
}

const struct http1_request *http_exchange_request(const struct http_exchange *x)
{
	return &x->request;
}

struct span http_exchange_body(const struct http_exchange *x)
{
	return x->body_span;
}

const char *http_exchange_peer(const struct http_exchange *x)
{
	return x->peer;
}

void http_exchange_on_gone(struct http_exchange *x, void (*gone)(void *arg), void *arg)
{
	x->gone = gone;
	x->gone_arg = arg;
	loop_timer_cancel(&x->gone_soon);
	if (x->conn == NULL && gone != NULL)
		x->gone_soon = loop_timer_start(x->loop, 0, tell_later, x);
}

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
	        {200, "OK"},
	        {201, "Created"},
	        {204, "No Content"},
	        {304, "Not Modified"},
	        {400, "Bad Request"},
	        {401, "Unauthorized"},
	        {403, "Forbidden"},
	        {404, "Not Found"},
	        {405, "Method Not Allowed"},
	        {408, "Request Timeout"},
	        {409, "Conflict"},
	        {412, "Precondition Failed"},
	        {413, "Content Too Large"},
	        {414, "URI Too Long"},
	        {429, "Too Many Requests"},
	        {431, "Request Header Fields Too Large"},
	        {500, "Internal Server Error"},
	        {501, "Not Implemented"},
	        {503, "Service Unavailable"},
	        {505, "HTTP Version Not Supported"},
	        {529, "Overloaded"},
	};
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Status"; // the phrase means nothing (RFC 9112 section 4), but some clients want one
}

static const char *date(struct http_server *s)
{
	time_t now = (time_t)(clock_utc_us() / 1000000);
	struct tm tm;
	if (now != s->date_s && gmtime_r(&now, &tm) != NULL) {
		strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s->date_s = now;
	}
	return s->date;
}

struct span http_exchange_head(struct http_conn *c, struct http_exchange *x, const struct http_answer *a, int64_t length)
{
	struct http_server *s = c->server;
	struct buf *h = &s->head;
	c->close_after |= s->draining;
	buf_clear(h);
	bool ok = buf_printf(h, "HTTP/1.1 %d %s\r\ndate: %s\r\n", a->status, reason(a->status), date(s));
	if (a->content_type != NULL)
		ok &= buf_printf(h, "content-type: %s\r\n", a->content_type);
	// Without an exchange it is the server's own refusal, which ends the connection.
	if (x != NULL && (a->status == 204 || a->status == 304))
		x->bodiless = true;
	else if (length >= 0)
		ok &= buf_printf(h, "content-length: %lld\r\n", (long long)length);
	else if (x->chunked)
		ok &= buf_add_str(h, "transfer-encoding: chunked\r\n");
	if (c->close_after)
		ok &= buf_add_str(h, "connection: close\r\n");
	else if (x != NULL && x->request.minor == 0)
		ok &= buf_add_str(h, "connection: keep-alive\r\n");
	if (a->fields != NULL)
		ok &= buf_add_str(h, a->fields);
	ok &= buf_add_str(h, "\r\n");
	BUG_ON(!ok);
	return buf_span(h);
}

// The answer has ended: the connection may go on, in the next turn if this is not its own.
static void finish(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	http_exchange_free(x);
	if (c != NULL)
		http_conn_answered(c);
}

void http_exchange_answer(struct http_exchange *x, const struct http_answer *a, struct span body)
{
	BUG_ON(x->streaming);
	struct http_conn *c = x->conn;
	if (c != NULL) {
		struct span parts[2] = {http_exchange_head(c, x, a, (int64_t)body.len), body};
		http_conn_write(c, parts, x->bodiless ? 1 : 2);
	}
	finish(x);
}

void http_exchange_stream(struct http_exchange *x, const struct http_answer *a)
{
	BUG_ON(x->streaming);
	x->streaming = true;
	struct http_conn *c = x->conn;
	if (c == NULL)
		return;
	if (!x->chunked)
		c->close_after = true;
	struct span head = http_exchange_head(c, x, a, -1);
	http_conn_write(c, &head, 1);
}

void http_exchange_send(struct http_exchange *x, struct span bytes)
{
	BUG_ON(!x->streaming);
	struct http_conn *c = x->conn;
	if (c == NULL || c->broken || x->bodiless || bytes.len == 0) // an empty chunk would end the body
		return;
	if (buf_len(&c->out) + bytes.len > c->server->opts.backlog_max) {
		log_info("http.slow_reader", "peer=%s queued=%zu", x->peer, buf_len(&c->out));
		c->broken = true;
		http_conn_run_soon(c);
		return;
	}
	char size[24];
	int n = x->chunked ? snprintf(size, sizeof(size), "%zx\r\n", bytes.len) : 0;
	struct span parts[3] = {{size, (size_t)n}, bytes, {"\r\n", x->chunked ? 2 : 0}};
	http_conn_write(c, parts, 3);
}

size_t http_exchange_queued(const struct http_exchange *x)
{
	return x->conn == NULL ? 0 : buf_len(&x->conn->out);
}

void http_exchange_end(struct http_exchange *x)
{
	BUG_ON(!x->streaming);
	if (x->conn != NULL && x->chunked && !x->bodiless)
		http_conn_write(x->conn, &SPAN_LIT("0\r\n\r\n"), 1);
	finish(x);
}

void http_exchange_abort(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	http_exchange_free(x);
	if (c == NULL)
		return;
	c->x = NULL;
	c->broken = true;
	if (!c->running)
		http_conn_close(c);
}

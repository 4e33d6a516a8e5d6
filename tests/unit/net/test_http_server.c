// The server over real sockets on the same loop: the client half is a plain descriptor whose bytes the test controls.
#include "net/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct client {
	int fd;
	struct loop_fd *watch;
	struct buf got;
	bool eof;
};

struct fixture {
	struct loop *loop;
	struct loop_timer *guard;
	struct http_server *server;
	struct client c[4];
	struct http_exchange *held;
	struct buf seen; // "METHOD PATH?QUERY BODY|" of each request
	int gone, drained;
	bool (*until)(struct fixture *f);
};

static void hung(void *arg)
{
	struct fixture *f = arg;
	fail_msg("waited in vain; seen '%s', got '%s'", buf_str(&f->seen), buf_str(&f->c[0].got));
}

static void check(struct fixture *f)
{
	if (f->until != NULL && f->until(f))
		loop_stop(f->loop);
}

static void run_until(struct fixture *f, bool (*until)(struct fixture *f))
{
	f->until = until;
	if (!until(f))
		loop_run(f->loop);
	f->until = NULL;
}

static void on_gone(void *arg)
{
	struct fixture *f = arg;
	f->gone++;
	f->held = NULL;
	check(f);
}

static void answer(struct http_exchange *x, const char *text)
{
	struct http_answer a = {.status = 200, .content_type = "text/plain"};
	http_exchange_answer(x, &a, span_of(text));
}

static void handle(void *arg, struct http_exchange *x)
{
	struct fixture *f = arg;
	const struct http1_request *q = http_exchange_request(x);
	struct span body = http_exchange_body(x);
	assert_true(strncmp(http_exchange_peer(x), "127.0.0.1:", 10) == 0);
	assert_true(buf_printf(&f->seen, "%.*s %.*s?%.*s %.*s|", SPAN_FMT(q->method), SPAN_FMT(q->path), SPAN_FMT(q->query),
	                       SPAN_FMT(span_head(body, 100))));
	struct http_answer stream = {.status = 200, .content_type = "text/event-stream"};
	if (span_is(q->path, "/hold") || span_is(q->path, "/watch") || span_is(q->path, "/stream")) {
		f->held = x;
		if (span_is(q->path, "/stream"))
			http_exchange_stream(x, &stream);
		if (!span_is(q->path, "/hold"))
			http_exchange_on_gone(x, on_gone, f);
		check(f);
	} else if (span_is(q->path, "/none")) {
		http_exchange_answer(x, &(struct http_answer){.status = 204}, SPAN_LIT(""));
	} else if (span_is(q->path, "/abort")) {
		http_exchange_abort(x);
	} else if (span_is(q->path, "/big")) {
		AUTO_FREE char *big = mem_zero(8 << 20);
		http_exchange_answer(x, &(struct http_answer){.status = 200}, span_from(big, 8 << 20));
	} else {
		answer(x, "hello");
	}
}

static void client_ready(void *arg, uint32_t events)
{
	(void)events;
	struct client *c = arg;
	static char scratch[65536];
	ssize_t n = recv(c->fd, scratch, sizeof(scratch), 0);
	if (n > 0) {
		assert_true(buf_add(&c->got, span_from(scratch, (size_t)n)));
	} else if (n == 0 || errno != EAGAIN) {
		c->eof = true;
		loop_fd_cancel(&c->watch);
	}
}

static struct fixture *current;

static void client_ready_then_check(void *arg, uint32_t events)
{
	client_ready(arg, events);
	check(current);
}

static void dial(struct fixture *f, struct client *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint64_t port;
	struct err e;
	assert_false(failed(span_to_u64(span_of(strrchr(http_server_address(f->server), ':') + 1), 65535, "port", &port, &e)));
	a.sin_port = htons((uint16_t)port);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	int small = 65536, on = 1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_false(failed(fd_set_nonblock(c->fd, &e)));
	buf_init(&c->got, 64 << 20);
	c->eof = false;
	c->watch = loop_fd_start(f->loop, c->fd, EPOLLIN, client_ready_then_check, c);
}

static void hang_up(struct client *c)
{
	loop_fd_cancel(&c->watch);
	fd_close(&c->fd);
	buf_fini(&c->got);
}

static void say(struct client *c, const char *text)
{
	assert_int_equal(send(c->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void start(struct fixture *f, struct http_server_opts o)
{
	struct err e;
	http_server_stop(&f->server);
	o.listen = "127.0.0.1:0";
	o.handle = handle;
	o.arg = f;
	o.body_max = o.body_max == 0 ? 100000 : o.body_max;
	o.connections_max = o.connections_max == 0 ? 100 : o.connections_max;
	o.head_timeout_ms = o.head_timeout_ms == 0 ? 10000 : o.head_timeout_ms;
	o.idle_timeout_ms = o.idle_timeout_ms == 0 ? 10000 : o.idle_timeout_ms;
	if (failed(http_server_start(f->loop, &o, &f->server, &e)))
		fail_msg("%s", e.msg);
}

static int setup(void **state)
{
	struct err e;
	struct fixture *f = NEW(struct fixture);
	current = f;
	assert_false(failed(loop_new(&f->loop, &e)));
	f->guard = loop_timer_start(f->loop, 20000, hung, f);
	buf_init(&f->seen, 1 << 20);
	start(f, (struct http_server_opts){0});
	for (int i = 0; i < 4; i++)
		f->c[i].fd = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 4; i++)
		hang_up(&f->c[i]);
	http_server_stop(&f->server);
	loop_timer_cancel(&f->guard);
	loop_free(f->loop);
	buf_fini(&f->seen);
	free(f);
	return 0;
}

static int count(struct client *c, const char *needle)
{
	int n = 0;
	for (const char *at = strstr(buf_str(&c->got), needle); at != NULL; at = strstr(at + 1, needle))
		n++;
	return n;
}

static bool ended(struct fixture *f)
{
	return f->c[0].eof;
}

static bool one_answer(struct fixture *f)
{
	return count(&f->c[0], "hello") == 1;
}

static bool three_answers(struct fixture *f)
{
	return count(&f->c[0], "hello") == 3;
}

static bool held(struct fixture *f)
{
	return f->held != NULL;
}

static bool gone(struct fixture *f)
{
	return f->gone > 0;
}

static void test_get(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /a/b?c=d HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, one_answer);
	assert_string_equal(buf_str(&f->seen), "GET /a/b?c=d |");
	assert_int_equal(count(&f->c[0], "content-length: 5\r\n"), 1);
	assert_int_equal(count(&f->c[0], "date: "), 1);
	assert_int_equal(count(&f->c[0], "connection:"), 0);
}

// Each request arrives cut in two at every place.
static void test_every_split(void **state)
{
	struct fixture *f = *state;
	static const char *const wires[] = {
	        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
	        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nT: "
	        "1\r\n\r\n",
	};
	for (int w = 0; w < 2; w++) {
		dial(f, &f->c[0]);
		for (size_t cut = 1; cut < strlen(wires[w]); cut++) {
			buf_clear(&f->seen);
			buf_clear(&f->c[0].got);
			AUTO_FREE char *head = span_dup(span_from(wires[w], cut));
			say(&f->c[0], head);
			for (int turn = 0; turn < 2; turn++) {
				loop_timer_start(f->loop, 0, (void (*)(void *))loop_stop, f->loop);
				loop_run(f->loop);
			}
			say(&f->c[0], wires[w] + cut);
			run_until(f, one_answer);
			assert_string_equal(buf_str(&f->seen), "POST /p? hello world|");
		}
		hang_up(&f->c[0]);
	}
}

static void test_pipelining(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0],
	    "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
	    "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, three_answers);
	assert_string_equal(buf_str(&f->seen), "GET /1? |POST /2? abc|GET /3? |");
}

// While one is held, what follows waits; its answer lets it go on.
static void test_pipelining_behind_held(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0],
	    "GET /hold HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, held);
	assert_string_equal(buf_str(&f->seen), "GET /hold? |");
	answer(f->held, "hello");
	run_until(f, three_answers);
	assert_string_equal(buf_str(&f->seen), "GET /hold? |GET /2? |GET /3? |");
}

static void test_close_and_http10(void **state)
{
	struct fixture *f = *state;
	static const char *const wires[] = {
	        "GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n",
	        "GET / HTTP/1.0\r\n\r\n",
	};
	for (int i = 0; i < 2; i++) {
		dial(f, &f->c[0]);
		say(&f->c[0], wires[i]);
		run_until(f, ended);
		assert_int_equal(count(&f->c[0], "connection: close\r\n"), 1);
		assert_int_equal(count(&f->c[0], "\r\n\r\nhello"), 1);
		hang_up(&f->c[0]);
	}
	dial(f, &f->c[0]);
	say(&f->c[0], "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	run_until(f, one_answer);
	assert_int_equal(count(&f->c[0], "connection: keep-alive\r\n"), 1);
}

static void test_head_and_204(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0],
	    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\n"
	    "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, held);
	http_exchange_send(f->held, SPAN_LIT("not for HEAD"));
	http_exchange_end(f->held);
	say(&f->c[0], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, one_answer);
	assert_int_equal(count(&f->c[0], "content-length: 5\r\n"), 2);
	assert_int_equal(count(&f->c[0], "\r\n\r\nHTTP/1.1 "), 3);
}

static bool continues(struct fixture *f)
{
	return count(&f->c[0], "HTTP/1.1 100 Continue\r\n\r\n") == 1;
}

static void test_expect_continue(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0], "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	run_until(f, continues);
	say(&f->c[0], "ok");
	run_until(f, one_answer);
	assert_string_equal(buf_str(&f->seen), "POST /? ok|");
}

static void expect_refusal(struct fixture *f, const char *wire, const char *status, const char *type)
{
	dial(f, &f->c[0]);
	say(&f->c[0], wire);
	run_until(f, ended);
	char line[40];
	snprintf(line, sizeof(line), "HTTP/1.1 %s ", status);
	if (strncmp(buf_str(&f->c[0].got), line, strlen(line)) != 0)
		fail_msg("'%s' was answered '%s'", wire, buf_str(&f->c[0].got));
	assert_int_equal(count(&f->c[0], type), 1);
	assert_int_equal(count(&f->c[0], "\"type\":\"error\""), 1);
	assert_int_equal(count(&f->c[0], "request-id: req_"), 1);
	assert_int_equal(count(&f->c[0], "\"request_id\":\"req_"), 1);
	assert_int_equal(count(&f->c[0], "connection: close"), 1);
	hang_up(&f->c[0]);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	expect_refusal(f, "GET / HTTP/1.1\r\n\r\n", "400", "invalid_request_error");
	expect_refusal(f, "\x16\x03\x01\x02", "400", "invalid_request_error");
	expect_refusal(f, "GET / HTTP/2.0\r\n\r\n", "505", "invalid_request_error");
	expect_refusal(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\n", "413", "request_too_large");
	expect_refusal(f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n", "413",
	               "request_too_large");
	expect_refusal(f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "400",
	               "invalid_request_error");
	assert_string_equal(buf_str(&f->seen), "");
}

static void test_timeouts(void **state)
{
	struct fixture *f = *state;
	start(f, (struct http_server_opts){.head_timeout_ms = 30, .idle_timeout_ms = 30});
	expect_refusal(f, "GET / HTTP/1.1\r\nHost", "408", "invalid_request_error");
	expect_refusal(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc", "408", "invalid_request_error");
	// Silent from the start, or after an answer: closed without a word.
	dial(f, &f->c[0]);
	run_until(f, ended);
	assert_int_equal(buf_len(&f->c[0].got), 0);
	hang_up(&f->c[0]);
	dial(f, &f->c[0]);
	say(&f->c[0], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, ended);
	assert_int_equal(count(&f->c[0], "HTTP/1.1"), 1);
}

static bool stream_done(struct fixture *f)
{
	return count(&f->c[0], "0\r\n\r\n") == 1;
}

static void test_stream(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, held);
	http_exchange_send(f->held, SPAN_LIT("first"));
	http_exchange_send(f->held, SPAN_LIT(""));
	http_exchange_send(f->held, SPAN_LIT("second event"));
	http_exchange_end(f->held);
	run_until(f, stream_done);
	assert_int_equal(count(&f->c[0], "transfer-encoding: chunked\r\n"), 1);
	assert_int_equal(count(&f->c[0], "\r\n\r\n5\r\nfirst\r\nc\r\nsecond event\r\n0\r\n\r\n"), 1);
	assert_int_equal(f->gone, 0);
	hang_up(&f->c[0]);
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	f->held = NULL;
	run_until(f, held);
	http_exchange_send(f->held, SPAN_LIT("plain"));
	http_exchange_end(f->held);
	run_until(f, ended);
	assert_int_equal(count(&f->c[0], "\r\n\r\nplain"), 1);
	assert_int_equal(count(&f->c[0], "connection: close"), 1);
}

static void test_gone(void **state)
{
	struct fixture *f = *state;
	static const char *const paths[] = {"/watch", "/stream"};
	for (int i = 0; i < 4; i++) {
		char wire[80];
		snprintf(wire, sizeof(wire), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", paths[i % 2]);
		f->gone = 0;
		dial(f, &f->c[0]);
		say(&f->c[0], wire);
		run_until(f, held);
		if (i < 2) { // a reset
			struct linger abrupt = {1, 0};
			setsockopt(f->c[0].fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
		}
		hang_up(&f->c[0]);
		run_until(f, gone);
		assert_int_equal(f->gone, 1);
	}
}

// Without a `gone` callback the exchange outlives its client until it is answered.
static void test_gone_unasked(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 2; i++) {
		dial(f, &f->c[0]);
		say(&f->c[0], "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
		f->held = NULL;
		run_until(f, held);
		hang_up(&f->c[0]);
		dial(f, &f->c[1]);
		say(&f->c[1], "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
		while (!f->c[1].eof) {
			loop_timer_start(f->loop, 1, (void (*)(void *))loop_stop, f->loop);
			loop_run(f->loop);
		}
		hang_up(&f->c[1]);
		assert_true(span_is(http_exchange_body(f->held), "body"));
		if (i == 0) {
			answer(f->held, "too late");
		} else { // asking late is told in a later turn
			http_exchange_on_gone(f->held, on_gone, f);
			assert_int_equal(f->gone, 0);
			run_until(f, gone);
		}
	}
}

static void test_server_stop_tells(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, held);
	http_server_stop(&f->server);
	assert_int_equal(f->gone, 1);
	run_until(f, ended);
}

static void test_abort(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /abort HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, ended);
	assert_int_equal(buf_len(&f->c[0].got), 0);
	hang_up(&f->c[0]);
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, held);
	http_exchange_send(f->held, SPAN_LIT("begun"));
	http_exchange_abort(f->held);
	run_until(f, ended);
	assert_int_equal(count(&f->c[0], "begun"), 1);
	assert_int_equal(f->gone, 0);
}

static bool big_done(struct fixture *f)
{
	return buf_len(&f->c[0].got) >= (8 << 20) + 80;
}

static void test_big_answer(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, big_done);
}

static void test_slow_reader(void **state)
{
	struct fixture *f = *state;
	start(f, (struct http_server_opts){.backlog_max = 1 << 20});
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, held);
	loop_fd_watch(f->c[0].watch, 0);
	static char block[65536];
	size_t most = 0;
	for (int i = 0; i < 1000; i++) {
		http_exchange_send(f->held, span_from(block, sizeof(block)));
		most = http_exchange_queued(f->held) > most ? http_exchange_queued(f->held) : most;
	}
	assert_int_equal(f->gone, 0);
	assert_in_range(most, 65536, 1 << 20);
	run_until(f, gone);
}

static void test_stalled_reader(void **state)
{
	struct fixture *f = *state;
	start(f, (struct http_server_opts){.send_timeout_ms = 30});
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, held);
	loop_fd_watch(f->c[0].watch, 0);
	static char block[65536];
	while (http_exchange_queued(f->held) == 0)
		http_exchange_send(f->held, span_from(block, sizeof(block)));
	run_until(f, gone);
}

static bool second_answered(struct fixture *f)
{
	return count(&f->c[1], "hello") == 1;
}

static void test_connections_max(void **state)
{
	struct fixture *f = *state;
	start(f, (struct http_server_opts){.connections_max = 1});
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
	dial(f, &f->c[1]);
	say(&f->c[1], "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, one_answer);
	assert_string_equal(buf_str(&f->seen), "GET /1? |");
	hang_up(&f->c[0]);
	run_until(f, second_answered);
}

static void test_no_descriptors(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[0]);
	struct rlimit old, none;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){3, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	say(&f->c[0], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	loop_timer_start(f->loop, 250, (void (*)(void *))loop_stop, f->loop);
	loop_run(f->loop);
	getrusage(RUSAGE_SELF, &after);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	// A spinning loop would have spent those 250 ms.
	long spent = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
	             before.ru_utime.tv_usec + (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
	             after.ru_stime.tv_usec - before.ru_stime.tv_usec;
	assert_true(spent < 100000);
	run_until(f, one_answer);
}

static void on_drained(void *arg)
{
	struct fixture *f = arg;
	f->drained++;
	check(f);
}

static bool drained(struct fixture *f)
{
	return f->drained > 0;
}

static void test_drain(void **state)
{
	struct fixture *f = *state;
	dial(f, &f->c[1]);
	dial(f, &f->c[0]);
	say(&f->c[0], "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
	run_until(f, held);
	http_server_drain(f->server, on_drained, f);
	answer(f->held, "hello");
	run_until(f, drained);
	run_until(f, ended);
	assert_int_equal(count(&f->c[0], "connection: close"), 1);
	assert_int_equal(count(&f->c[0], "hello"), 1);
	assert_int_equal(f->drained, 1);
}

static void test_bodies_max(void **state)
{
	struct fixture *f = *state;
	start(f, (struct http_server_opts){.bodies_max = 60000});
	dial(f, &f->c[0]);
	static char wire[40100];
	snprintf(wire, sizeof(wire), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n%040000d", 0);
	say(&f->c[0], wire);
	dial(f, &f->c[1]);
	say(&f->c[1], wire);
	while (!f->c[0].eof && !f->c[1].eof) {
		loop_timer_start(f->loop, 1, (void (*)(void *))loop_stop, f->loop);
		loop_run(f->loop);
	}
	struct client *refused = f->c[0].eof ? &f->c[0] : &f->c[1];
	assert_int_equal(count(refused, "HTTP/1.1 503 "), 1);
	assert_int_equal(count(refused, "overloaded_error"), 1);
}

static void test_listen_errors(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "no such:1"};
	struct err e;
	struct http_server *s;
	struct http_server_opts o = {.body_max = 1, .connections_max = 1, .handle = handle};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		o.listen = bad[i];
		assert_true(failed(http_server_start(f->loop, &o, &s, &e)));
		assert_int_equal(e.kind, ERR_INVALID);
	}
	o.listen = http_server_address(f->server);
	assert_true(failed(http_server_start(f->loop, &o, &s, &e)));
	assert_int_equal(e.kind, ERR_CONFLICT);
	o.listen = "[::1]:0";
	if (!failed(http_server_start(f->loop, &o, &s, &e))) { // else this machine has no IPv6
		assert_true(strncmp(http_server_address(s), "[::1]:", 6) == 0);
		http_server_stop(&s);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_get),
	        T(test_every_split),
	        T(test_pipelining),
	        T(test_pipelining_behind_held),
	        T(test_close_and_http10),
	        T(test_head_and_204),
	        T(test_expect_continue),
	        T(test_refusals),
	        T(test_timeouts),
	        T(test_stream),
	        T(test_gone),
	        T(test_gone_unasked),
	        T(test_server_stop_tells),
	        T(test_abort),
	        T(test_big_answer),
	        T(test_slow_reader),
	        T(test_stalled_reader),
	        T(test_connections_max),
	        T(test_no_descriptors),
	        T(test_drain),
	        T(test_bodies_max),
	        T(test_listen_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

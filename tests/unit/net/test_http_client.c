// The client against a server whose bytes the test writes: a listener on the same loop that reads a request's head and answers
// with what the case says, cut up as the case says.
#include "net/http_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

struct fixture {
	struct loop *loop;
	struct loop_timer *guard;
	struct http_client *client;
	int listener, peer;
	struct loop_fd *listen_watch, *peer_watch;
	struct buf asked;
	const char *reply; // sent once the head is there
	bool hold;         // then the connection stays open
	char url[64];

	struct http_call *call, *other;
	int heads, datas, dones, status;
	struct buf got;
	struct err err;
	bool failed;
	bool cancel_in_head, cancel_in_data, free_in_data, free_in_done, start_in_data;
	char type[64];
};

static void hung(void *arg)
{
	struct fixture *f = arg;
	fail_msg("waited in vain; asked '%s'", buf_str(&f->asked));
}

static void drop_peer(struct fixture *f)
{
	loop_fd_cancel(&f->peer_watch);
	fd_close(&f->peer);
}

static void peer_ready(void *arg, uint32_t events)
{
	(void)events;
	struct fixture *f = arg;
	char bytes[4096];
	ssize_t n = recv(f->peer, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n <= 0) {
		drop_peer(f);
		return;
	}
	assert_true(buf_add(&f->asked, span_from(bytes, (size_t)n)));
	if (strstr(buf_str(&f->asked), "\r\n\r\n") == NULL || f->reply == NULL)
		return;
	assert_int_equal(send(f->peer, f->reply, strlen(f->reply), MSG_NOSIGNAL), (ssize_t)strlen(f->reply));
	f->reply = NULL;
	if (!f->hold)
		drop_peer(f);
}

static void listener_ready(void *arg, uint32_t events)
{
	(void)events;
	struct fixture *f = arg;
	int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	if (f->peer >= 0) { // one at a time; a second connection stays without an answer
		fd_close(&fd);
		return;
	}
	f->peer = fd;
	f->peer_watch = loop_fd_start(f->loop, fd, EPOLLIN, peer_ready, f);
}

static int setup(void **state)
{
	struct err e;
	struct fixture *f = NEW(struct fixture);
	assert_false(failed(loop_new(&f->loop, &e)));
	f->guard = loop_timer_start(f->loop, 20000, hung, f);
	f->peer = -1;
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(f->listener, 10), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&a, &len), 0);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d/v1/x?a=b", ntohs(a.sin_port));
	f->listen_watch = loop_fd_start(f->loop, f->listener, EPOLLIN, listener_ready, f);
	buf_init(&f->asked, 1 << 20);
	buf_init(&f->got, 1 << 20);
	struct http_client_opts o = {.user_agent = "sallyport-test", .proxy = ""};
	assert_false(failed(http_client_new(f->loop, &o, &f->client, &e)));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	http_client_free(f->client);
	drop_peer(f);
	loop_fd_cancel(&f->listen_watch);
	fd_close(&f->listener);
	loop_timer_cancel(&f->guard);
	loop_free(f->loop);
	buf_fini(&f->asked);
	buf_fini(&f->got);
	free(f);
	return 0;
}

static void on_done(void *arg, int status, struct span body, const struct err *e)
{
	struct fixture *f = arg;
	f->dones++;
	f->status = status;
	f->failed = e != NULL;
	if (e != NULL)
		f->err = *e;
	const char *type = http_call_field(f->call, "X-Type");
	snprintf(f->type, sizeof(f->type), "%s", type == NULL ? "-" : type);
	assert_true(buf_add(&f->got, body));
	f->call = NULL;
	if (f->free_in_done) {
		http_client_free(f->client);
		f->client = NULL;
	}
	loop_stop(f->loop);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void on_head(void *arg, int status)
{
	struct fixture *f = arg;
	f->heads++;
	f->status = status;
	if (f->cancel_in_head) {
		http_call_cancel(&f->call);
		loop_timer_start(f->loop, 20, stop, f->loop);
	}
}

static void other_done(void *arg, int status, struct span body, const struct err *e)
{
	(void)status, (void)body, (void)e;
	struct fixture *f = arg;
	f->other = NULL;
	f->datas += 100;
}

static void on_data(void *arg, struct span bytes)
{
	struct fixture *f = arg;
	f->datas++;
	assert_true(buf_add(&f->got, bytes));
	if (f->start_in_data && f->other == NULL) {
		struct http_call_opts o = {.method = "GET", .url = "ftp://127.0.0.1/", .done = other_done, .arg = f};
		f->other = http_call_start(f->client, &o);
	}
	if (f->cancel_in_data)
		http_call_cancel(&f->call);
	if (f->free_in_data) {
		http_client_free(f->client);
		f->client = NULL;
	}
	if (f->cancel_in_data || f->free_in_data)
		loop_timer_start(f->loop, 20, stop, f->loop);
}

static void call(struct fixture *f, struct http_call_opts o)
{
	o.method = o.method == NULL ? "GET" : o.method;
	o.url = o.url == NULL ? f->url : o.url;
	o.done = on_done;
	o.body_max = o.body_max == 0 ? 1000 : o.body_max;
	o.arg = f;
	f->call = http_call_start(f->client, &o);
	assert_int_equal(f->dones, 0);
	loop_run(f->loop);
}

static void test_get(void **state)
{
	struct fixture *f = *state;
	f->reply =
	        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Type: one\r\nx-type: two\r\nContent-Length: 5\r\n\r\nhello";
	call(f, (struct http_call_opts){.on_head = on_head, .fields = (const char *const[]){"X-Api-Key: k", NULL}});
	assert_false(f->failed);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->heads, 1);
	assert_string_equal(buf_str(&f->got), "hello");
	assert_string_equal(f->type, "two");
	const char *q = buf_str(&f->asked);
	assert_true(strncmp(q, "GET /v1/x?a=b HTTP/1.1\r\n", 24) == 0);
	assert_non_null(strstr(q, "X-Api-Key: k\r\n"));
	assert_non_null(strstr(q, "User-Agent: sallyport-test\r\n"));
	assert_null(strstr(q, "Content-Type"));
}

static void test_posts(void **state)
{
	struct fixture *f = *state;
	f->reply = "HTTP/1.1 204 No Content\r\n\r\n";
	call(f, (struct http_call_opts){.method = "POST"});
	assert_int_equal(f->status, 204);
	assert_non_null(strstr(buf_str(&f->asked), "Content-Length: 0\r\n"));
	assert_null(strstr(buf_str(&f->asked), "Content-Type"));
	drop_peer(f);
	f->dones = 0;
	buf_clear(&f->asked);
	f->reply = "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n";
	f->hold = true;
	static char body[200000];
	memset(body, 'b', sizeof(body));
	call(f, (struct http_call_opts){.method = "POST",
	                                .body = span_from(body, 2000),
	                                .fields = (const char *const[]){"content-type: application/json", NULL}});
	assert_int_equal(f->status, 409);
	assert_false(f->failed);
	assert_non_null(strstr(buf_str(&f->asked), "Content-Length: 2000\r\n"));
	assert_non_null(strstr(buf_str(&f->asked), "content-type: application/json\r\n"));
	assert_null(strstr(buf_str(&f->asked), "Expect"));
	assert_null(strstr(buf_str(&f->asked), "form"));
}

static void expect_failure(struct fixture *f, const char *reply, enum err_kind kind, const char *words)
{
	f->reply = reply;
	f->dones = 0;
	buf_clear(&f->asked);
	call(f, (struct http_call_opts){0});
	if (!f->failed || f->err.kind != kind || strstr(f->err.msg, words) == NULL)
		fail_msg("'%s' came out as %d '%s'", reply, f->err.kind, f->failed ? f->err.msg : "no failure");
	drop_peer(f);
}

static void test_broken_answers(void **state)
{
	struct fixture *f = *state;
	expect_failure(f, "", ERR_UNREACHABLE, "Empty reply");
	expect_failure(f, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", ERR_UNREACHABLE, "5 bytes remaining");
	expect_failure(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ERR_UNREACHABLE,
	               "GET http://");
	expect_failure(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ERR_UNREACHABLE, "GET http://");
	expect_failure(f, "garbage\r\n\r\n", ERR_UNREACHABLE, "HTTP/0.9");
	assert_int_equal(f->status, 0);
}

static void test_too_large(void **state)
{
	struct fixture *f = *state;
	f->reply = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world";
	call(f, (struct http_call_opts){.body_max = 10});
	assert_true(f->failed);
	assert_int_equal(f->err.kind, ERR_TOO_LARGE);
	assert_int_equal(f->status, 200);
}

static void test_nobody_there(void **state)
{
	struct fixture *f = *state;
	loop_fd_cancel(&f->listen_watch);
	fd_close(&f->listener);
	call(f, (struct http_call_opts){0});
	assert_true(f->failed);
	assert_int_equal(f->err.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(f->err.msg, f->url));
}

static void test_refused_urls(void **state)
{
	struct fixture *f = *state;
	static const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "not a url", "http://u:p@127.0.0.1:1/",
	                                   ""};
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		f->dones = 0;
		call(f, (struct http_call_opts){.url = urls[i]});
		assert_true(f->failed);
		assert_int_equal(f->err.kind, ERR_INVALID);
	}
}

static void test_redirect_is_an_answer(void **state)
{
	struct fixture *f = *state;
	f->reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
	call(f, (struct http_call_opts){0});
	assert_false(f->failed);
	assert_int_equal(f->status, 302);
}

static void test_timeouts(void **state)
{
	struct fixture *f = *state;
	f->hold = true;
	f->reply = "HTTP/1.1 200 OK\r\n\r\npart";
	call(f, (struct http_call_opts){.timeout_ms = 50, .on_data = on_data});
	assert_true(f->failed);
	assert_int_equal(f->err.kind, ERR_UNREACHABLE);
	assert_string_equal(buf_str(&f->got), "part");
	drop_peer(f);
	f->dones = 0;
	f->reply = "HTTP/1.1 200 OK\r\n\r\npart";
	uint64_t t0 = clock_mono_ms();
	call(f, (struct http_call_opts){.silence_timeout_ms = 50, .on_data = on_data});
	assert_true(f->failed);
	assert_non_null(strstr(f->err.msg, "silent for 50 ms"));
	assert_true(clock_mono_ms() - t0 >= 50);
	assert_int_equal(f->status, 200);
}

static void test_stream(void **state)
{
	struct fixture *f = *state;
	f->start_in_data = true;
	f->reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
	call(f, (struct http_call_opts){.on_head = on_head, .on_data = on_data});
	assert_false(f->failed);
	assert_string_equal(buf_str(&f->got), "onetwo");
	while (f->other != NULL) {
		loop_timer_start(f->loop, 1, stop, f->loop);
		loop_run(f->loop);
	}
	assert_true(f->datas > 100);
}

static void test_cancel_inside(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 2; i++) {
		f->cancel_in_head = i == 0;
		f->cancel_in_data = i == 1;
		f->reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
		call(f, (struct http_call_opts){.on_head = on_head, .on_data = on_data});
		assert_null(f->call);
		assert_int_equal(f->dones, 0);
		assert_int_equal(f->datas, i);
		drop_peer(f);
	}
}

static void test_free_inside(void **state)
{
	struct fixture *f = *state;
	f->free_in_data = true;
	f->reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	call(f, (struct http_call_opts){.on_data = on_data});
	assert_int_equal(f->dones, 0);
}

static void test_free_in_done(void **state)
{
	struct fixture *f = *state;
	f->free_in_done = true;
	f->reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	call(f, (struct http_call_opts){0});
	assert_int_equal(f->dones, 1);
}

// Cancelled while its name is being looked up: at once, though the resolver's thread is still at work.
static void test_cancel_while_resolving(void **state)
{
	struct fixture *f = *state;
	struct http_call_opts o = {.method = "GET", .url = "http://cancelled.invalid/", .done = on_done, .arg = f};
	f->call = http_call_start(f->client, &o);
	struct loop_timer *soon = loop_timer_start(f->loop, 2, stop, f->loop);
	loop_run(f->loop);
	if (f->dones > 0) // the resolver was quicker
		loop_timer_cancel(&soon);
	uint64_t t0 = clock_mono_ms();
	http_call_cancel(&f->call);
	assert_true(clock_mono_ms() - t0 < 500);
}

static void test_connection_is_kept(void **state)
{
	struct fixture *f = *state;
	f->hold = true;
	for (int i = 0; i < 3; i++) {
		f->dones = 0;
		buf_clear(&f->asked);
		f->reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
		call(f, (struct http_call_opts){0}); // on another connection it would be left without an answer
		assert_int_equal(f->status, 200);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_get),
	        T(test_posts),
	        T(test_broken_answers),
	        T(test_too_large),
	        T(test_nobody_there),
	        T(test_refused_urls),
	        T(test_redirect_is_an_answer),
	        T(test_timeouts),
	        T(test_stream),
	        T(test_cancel_inside),
	        T(test_free_inside),
	        T(test_free_in_done),
	        T(test_cancel_while_resolving),
	        T(test_connection_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

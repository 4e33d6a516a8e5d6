// Request heads, chunked bodies, queries and paths: what is taken, what is refused and with which status, at every byte split.
#include "net/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"

#define H "Host: h\r\n"

static const struct {
	const char *head;
	int status; // 0: taken
} heads[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", 0},
        {"\r\nGET / HTTP/1.1\r\n" H "\r\n", 0},
        {"GET / HTTP/1.0\r\n\r\n", 0},
        {"GET /a%20b?x=[]&y HTTP/1.1\r\n" H "\r\n", 0},
        {"M-SEARCH /{}|\\^ HTTP/1.1\r\n" H "\r\n", 0},
        {"GET http://h/x?y HTTP/1.1\r\n" H "\r\n", 0},
        {"GET HTTPS://H:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 0},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 0},
        {"GET / HTTP/1.1\r\nhOsT:\t h \t\r\nX:\r\nY: caf\xc3\xa9\r\n\r\n", 0},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n", 0},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n", 0},

        {"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400},
        {" GET / HTTP/1.1\r\n" H "\r\n", 400},
        {"GET / HTTP/1.1\n" H "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
        {"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\n" H "\r\n", 400},
        {"GET / HTTP/1.1 \r\n" H "\r\n", 400},
        {"GET /a b HTTP/1.1\r\n" H "\r\n", 400},
        {"GET\t/ HTTP/1.1\r\n" H "\r\n", 400},
        {"GET /\r\n", 400},
        {"GET / http/1.1\r\n" H "\r\n", 400},
        {"GET / HTTP/1.1x\r\n" H "\r\n", 400},
        {"GET / HTTP/11\r\n" H "\r\n", 400},
        {"GET / HTTP/2.0\r\n" H "\r\n", 505},
        {"GET / HTTP/1.2\r\n" H "\r\n", 505},
        {"PRI * HTTP/2.0\r\n\r\n", 505},
        {"GET * HTTP/1.1\r\n" H "\r\n", 400},
        {"OPTIONS * HTTP/1.1\r\n" H "\r\n", 400},
        {"CONNECT h:1 HTTP/1.1\r\n" H "\r\n", 400},
        {"GET x HTTP/1.1\r\n" H "\r\n", 400},
        {"GET /#f HTTP/1.1\r\n" H "\r\n", 400},
        {"GET /\x7f HTTP/1.1\r\n" H "\r\n", 400},
        {"GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", 400},
        {"G(T / HTTP/1.1\r\n" H "\r\n", 400},
        {"\x16\x03\x01", 400},
        {"METHODMETHODMETHODMETHODMETHODMETHOD / HTTP/1.1\r\n" H "\r\n", 501},
        {"GET http://other/ HTTP/1.1\r\n" H "\r\n", 400},
        {"GET http:// HTTP/1.1\r\nHost:\r\n\r\n", 400},
        {"GET http://u@h/ HTTP/1.1\r\n" H "\r\n", 400},
        {"GET ftp://h/ HTTP/1.1\r\n" H "\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" H H "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" H "X: a\x01"
         "b\r\n\r\n",
         400},
        {"GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" H "X\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" H ": x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" H "X\xc3: x\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
         "chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n", 400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
};

static int parse(struct span in, struct http1_request *q, size_t *used)
{
	struct err e = {0};
	int status = 0;
	// Behind the end of the bytes lies nothing: the sanitizer build sees a read past it.
	AUTO_FREE char *exact = mem_alloc(in.len);
	memcpy(exact, in.data, in.len);
	switch (http1_parse_request(span_from(exact, in.len), q, used, &status, &e)) {
	case HTTP1_MORE:
		return -1;
	case HTTP1_DONE:
		return 0;
	default:
		assert_int_equal(e.kind, ERR_INVALID);
		assert_true(status >= 400);
		return status;
	}
}

static void test_heads(void **state)
{
	(void)state;
	static struct http1_request q;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		struct span all = span_of(heads[i].head);
		size_t used = 0;
		int got = parse(all, &q, &used);
		if (got != heads[i].status)
			fail_msg("'%s' came out as %d, not %d", heads[i].head, got, heads[i].status);
		if (got == 0)
			assert_int_equal(used, all.len);
		// A shorter piece is never taken, and never refused if the whole is fine.
		for (size_t n = 0; n < all.len; n++) {
			int part = parse(span_head(all, n), &q, &used);
			if (part == 0 || (part > 0 && heads[i].status == 0))
				fail_msg("the first %zu bytes of '%s' came out as %d", n, heads[i].head, part);
		}
	}
}

static void test_meaning(void **state)
{
	(void)state;
	static struct http1_request q;
	size_t used;
	struct err e;
	int status;
	struct span in = SPAN_LIT(
	        "POST /v1/x?beta=true&a HTTP/1.1\r\nHost: api:1\r\nX-A:  one two \t\r\nConnection: a, Close\r\n"
	        "Expect: 100-Continue\r\nContent-Length: 12\r\n\r\nnext bytes!!GET");
	assert_int_equal(http1_parse_request(in, &q, &used, &status, &e), HTTP1_DONE);
	assert_true(span_starts(span_skip(in, used), "next bytes!!"));
	assert_true(span_is(q.method, "POST"));
	assert_true(span_is(q.target, "/v1/x?beta=true&a"));
	assert_true(span_is(q.path, "/v1/x"));
	assert_true(span_is(q.query, "beta=true&a"));
	assert_int_equal(q.minor, 1);
	assert_int_equal(q.n_fields, 5);
	assert_true(span_is(http1_field_get(&q, "x-a"), "one two"));
	assert_true(span_is(http1_field_get(&q, "absent"), ""));
	assert_true(q.has_length && q.length == 12 && !q.chunked && !q.keep_alive && q.expect_continue);
	// The struct is used again: nothing of the last request may stay.
	in = SPAN_LIT("GET http://h HTTP/1.0\r\nHost: H\r\nConnection: keep-alive\r\n\r\n");
	assert_int_equal(http1_parse_request(in, &q, &used, &status, &e), HTTP1_DONE);
	assert_true(span_is(q.path, "/") && q.query.len == 0);
	assert_true(!q.has_length && q.length == 0 && !q.chunked && q.keep_alive && !q.expect_continue);
	assert_int_equal(q.n_fields, 2);
}

static int parse_big(const char *first, const char *repeat, size_t times, const char *last)
{
	static struct http1_request q;
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	assert_true(buf_add_str(&b, first));
	for (size_t i = 0; i < times; i++)
		assert_true(buf_add_str(&b, repeat));
	assert_true(buf_add_str(&b, last));
	size_t used;
	return parse(buf_span(&b), &q, &used);
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(parse_big("GET / HTTP/1.1\r\n" H, "a: b\r\n", 99, "\r\n"), 0);
	assert_int_equal(parse_big("GET / HTTP/1.1\r\n" H, "a: b\r\n", 100, "\r\n"), 431);
	assert_int_equal(parse_big("GET / HTTP/1.1\r\n" H "a: ", "0123456789", 3270, "\r\n\r\n"), 0);
	assert_int_equal(parse_big("GET / HTTP/1.1\r\n" H "a: ", "0123456789", 3280, "\r\n\r\n"), 431);
	assert_int_equal(parse_big("GET / HTTP/1.1\r\n" H "a: ", "0123456789", 3280, ""), 431);
	assert_int_equal(parse_big("GET / HTTP/1.1\r\n" H "a: ", "0123456789", 3200, ""), -1);
	assert_int_equal(parse_big("GET /", "0123456789", 1600, " HTTP/1.1\r\n" H "\r\n"), 0);
	assert_int_equal(parse_big("GET /", "0123456789", 1640, " HTTP/1.1\r\n" H "\r\n"), 414);
	assert_int_equal(parse_big("GET /", "0123456789", 1640, ""), 414);
	static const char nul[] = "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n";
	static struct http1_request q;
	size_t used;
	assert_int_equal(parse(span_from(nul, sizeof(nul) - 1), &q, &used), 400);
}

static const struct {
	const char *wire, *body; // NULL: refused
	size_t over;             // bytes that belong to what follows
} bodies[] = {
        {"0\r\n\r\n", "", 0},
        {"5\r\nhello\r\n0\r\n\r\n", "hello", 0},
        {"5;ext=\"a b\"\r\nhello\r\n00\r\n\r\nGET", "hello", 3},
        {"A\r\n0123456789\r\n0000000000000001\r\nx\r\n0;last\r\nA: b\r\nC:\r\n\r\n", "0123456789x", 0},
        {"", NULL, 0},
        {"\r\n", NULL, 0},
        {" 5\r\nhello\r\n0\r\n\r\n", NULL, 0},
        {"5 \r\nhello\r\n0\r\n\r\n", NULL, 0},
        {"+5\r\nhello\r\n0\r\n\r\n", NULL, 0},
        {"0x5\r\nhello\r\n0\r\n\r\n", NULL, 0},
        {"5\nhello\r\n0\r\n\r\n", NULL, 0},
        {"5\r\nhello0\r\n\r\n", NULL, 0},
        {"5\r\nhello\n0\r\n\r\n", NULL, 0},
        {"5\r\nhello!\r\n0\r\n\r\n", NULL, 0},
        {"5;a\nb\r\nhello\r\n0\r\n\r\n", NULL, 0},
        {"5;a\rb\r\nhello\r\n0\r\n\r\n", NULL, 0},
        {"00000000000000001\r\nx\r\n0\r\n\r\n", NULL, 0},
        {"FFFFFFFFFFFFFFFF\r\nx", NULL, 0},
        {"FFFFFFFFFFFFFFFFF\r\nx", NULL, 0},
        {"0\r\n\n", NULL, 0},
        {"0\r\nA : b\r\n\r\n", NULL, 0},
        {"0\r\n folded\r\n\r\n", NULL, 0},
        {"0\r\nA: b\n\r\n", NULL, 0},
        {"0\r\nno colon\r\n\r\n", NULL, 0},
};

// Feeds `wire` in pieces of `step` bytes. NULL when refused or unfinished.
static char *decode(struct span wire, size_t step, size_t *over)
{
	struct http1_chunks c = {0};
	AUTO_BUF struct buf in, out;
	buf_init(&in, 1 << 20);
	buf_init(&out, 100);
	struct err e;
	enum http1_progress p = HTTP1_MORE;
	while (p == HTTP1_MORE && wire.len > 0) {
		assert_true(buf_add(&in, span_head(wire, step)));
		wire = span_skip(wire, step);
		p = http1_chunks_decode(&c, &in, &out, &e);
	}
	*over = buf_len(&in) + wire.len;
	return p == HTTP1_DONE ? buf_take(&out, NULL) : NULL;
}

static void test_chunks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct span wire = span_of(bodies[i].wire);
		for (size_t step = 1; step <= wire.len; step++) {
			size_t over;
			AUTO_FREE char *body = decode(wire, step, &over);
			if ((body == NULL) != (bodies[i].body == NULL))
				fail_msg("'%s' was %s", bodies[i].wire, body == NULL ? "refused" : "taken");
			if (body != NULL) {
				assert_string_equal(body, bodies[i].body);
				assert_int_equal(over, bodies[i].over);
			}
		}
	}
}

static void test_chunks_bounds(void **state)
{
	(void)state;
	struct err e;
	AUTO_BUF struct buf in, out;
	buf_init(&in, 1 << 20);
	buf_init(&out, 10);
	// Refused by its size alone, before a byte of it is there.
	struct http1_chunks c = {0};
	assert_true(buf_add_str(&in, "5\r\nhello\r\n6\r\n"));
	assert_int_equal(http1_chunks_decode(&c, &in, &out, &e), HTTP1_BAD);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	// Endless extensions and trailers.
	static const char *const starts[] = {"5;", "0\r\nA:", "0\r\n"};
	static const char *const repeats[] = {"x", "x", "A: b\r\n"};
	for (int i = 0; i < 3; i++) {
		c = (struct http1_chunks){0};
		buf_clear(&in);
		buf_clear(&out);
		assert_true(buf_add_str(&in, starts[i]));
		for (int n = 0; n < 10000; n++)
			assert_true(buf_add_str(&in, repeats[i]));
		assert_int_equal(http1_chunks_decode(&c, &in, &out, &e), HTTP1_BAD);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static const struct {
	const char *query, *pairs; // NULL: refused
} queries[] = {
        {"", ""},
        {"&&&", ""},
        {"a=1", "[a|1]"},
        {"a=1&b=2&&c", "[a|1][b|2][c|]"},
        {"types%5B%5D=a&types[]=b", "[types[]|a][types[]|b]"},
        {"t=2026-01-01T00%3A00%3a00%2B01:00", "[t|2026-01-01T00:00:00+01:00]"},
        {"a=b=c&=d&e=+", "[a|b=c][|d][e|+]"},
        {"caf%C3%A9=%26%3d", "[caf\xc3\xa9|&=]"},
        {"a=%", NULL},
        {"a=%4", NULL},
        {"a=%4g", NULL},
        {"%zz=1", NULL},
        {"a=%00", NULL},
        {"a=%c3", NULL},
        {"a=%ed%a0%80", NULL},
};

static void test_queries(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct span rest = span_of(queries[i].query);
		AUTO_BUF struct buf name, value, all;
		buf_init(&name, 100);
		buf_init(&value, 100);
		buf_init(&all, 1000);
		bool more = true;
		struct err e;
		struct result r = OK;
		while (more && !failed(r)) {
			r = http1_query_next(&rest, &name, &value, &more, &e);
			if (more && !failed(r))
				assert_true(buf_printf(&all, "[%s|%s]", buf_str(&name), buf_str(&value)));
		}
		if (failed(r) != (queries[i].pairs == NULL))
			fail_msg("'%s' was %s", queries[i].query, failed(r) ? e.msg : "taken");
		if (!failed(r))
			assert_string_equal(buf_str(&all), queries[i].pairs);
	}
}

static void test_segments(void **state)
{
	(void)state;
	AUTO_BUF struct buf out;
	buf_init(&out, 10);
	struct err e;
	assert_false(failed(http1_decode_segment(SPAN_LIT("a%2Eb+c"), &out, &e)));
	assert_string_equal(buf_str(&out), "a.b+c");
	assert_false(failed(http1_decode_segment(SPAN_LIT(""), &out, &e)));
	assert_int_equal(buf_len(&out), 0);
	static const char *const bad[] = {"%", "%2", "%2x", "%00", "a%2Fb", "a%2fb", "%ff", "12345678901"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(failed(http1_decode_segment(span_of(bad[i]), &out, &e)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_heads),    cmocka_unit_test(test_meaning),       cmocka_unit_test(test_limits),
	        cmocka_unit_test(test_chunks),   cmocka_unit_test(test_chunks_bounds), cmocka_unit_test(test_queries),
	        cmocka_unit_test(test_segments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

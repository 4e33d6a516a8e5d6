// The event-stream decoder: the standard's cases, fed whole, byte by byte and cut at every place; then limits and the encoder.
#include "net/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static bool collect(void *arg, struct span name, struct span data)
{
	assert_true(buf_printf(arg, "[%.*s|%.*s]", SPAN_FMT(name), SPAN_FMT(data)));
	return true;
}

static const struct {
	const char *wire, *events;
} cases[] = {
        {"event: a\ndata: {}\n\n", "[a|{}]"},
        {"event:a\ndata:{}\n\n", "[a|{}]"},
        {"event: a\r\ndata: 1\r\n\r\n", "[a|1]"},
        {"event: a\rdata: 1\r\r", "[a|1]"},
        {"data: 1\n\ndata: 2\n\n", "[|1][|2]"},
        {"data: one\ndata: two\ndata\n\n", "[|one\ntwo\n]"},
        {"data\n\n", "[|]"},
        {"data:\n\n", "[|]"},
        {"data:  two spaces\n\n", "[| two spaces]"},
        {": comment\n\n: another\ndata: x\n\n", "[|x]"},
        {":\n\n\n\n", ""},
        {"event: dropped\n\ndata: x\n\n", "[|x]"},
        {"event: a\nevent: b\ndata: x\n\n", "[b|x]"},
        {"id: 7\nretry: 10\nother: 1\ndata: x\n\n", "[|x]"},
        {"\xef\xbb\xbf"
         "data: bom\n\n\xef\xbb\xbf"
         "data: no\n\n",
         "[|bom]"},
        {"data: cut off\n", ""},
        {"data: a\r\n\r\ndata: b\r\r\ndata: c\n\r\n", "[|a][|b][|c]"},
        {"data: caf\xc3\xa9\n\n", "[|caf\xc3\xa9]"},
        {"event: ping\ndata: {\"type\": \"ping\"}\n\n", "[ping|{\"type\": \"ping\"}]"},
};

static void feed(struct sse_decoder *d, struct span bytes, struct buf *out)
{
	struct err e;
	assert_false(failed(sse_decoder_feed(d, bytes, collect, out, &e)));
}

static void test_cases_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span wire = span_of(cases[i].wire);
		for (size_t cut = 0; cut <= wire.len + 1; cut++) {
			struct sse_decoder d;
			AUTO_BUF struct buf out;
			buf_init(&out, 4096);
			sse_decoder_init(&d, 1000);
			if (cut <= wire.len) {
				feed(&d, span_head(wire, cut), &out);
				feed(&d, span_skip(wire, cut), &out);
			} else {
				for (size_t at = 0; at < wire.len; at++)
					feed(&d, span_head(span_skip(wire, at), 1), &out);
			}
			assert_string_equal(buf_str(&out), cases[i].events);
			sse_decoder_fini(&d);
		}
	}
}

static void test_too_large(void **state)
{
	(void)state;
	static const char *const wires[] = {
	        "data: 0123456789\n\n",
	        "data: 01234\ndata: 56789\n\n",
	        "event: 0123456789\ndata: x\n\n",
	        ": a comment that never comes to its end",
	};
	for (size_t i = 0; i < ARRAY_LEN(wires); i++) {
		struct sse_decoder d;
		struct err e;
		AUTO_BUF struct buf out;
		buf_init(&out, 4096);
		sse_decoder_init(&d, 9);
		assert_true(failed(sse_decoder_feed(&d, span_of(wires[i]), collect, &out, &e)));
		assert_int_equal(e.kind, ERR_TOO_LARGE);
		assert_int_equal(buf_len(&out), 0);
		sse_decoder_fini(&d);
	}
}

struct freeing {
	struct sse_decoder *d;
	int calls;
};

static bool free_decoder(void *arg, struct span name, struct span data)
{
	(void)name;
	struct freeing *f = arg;
	f->calls++;
	sse_decoder_fini(f->d);
	free(f->d);
	return !span_is(data, "x");
}

static void test_callback_frees_decoder(void **state)
{
	(void)state;
	struct freeing f = {NEW(struct sse_decoder), 0};
	struct err e;
	sse_decoder_init(f.d, 100);
	assert_false(failed(sse_decoder_feed(f.d, SPAN_LIT("event: e\ndata: x\n\ndata: y\n\n"), free_decoder, &f, &e)));
	assert_int_equal(f.calls, 1);
}

static void test_encode(void **state)
{
	(void)state;
	AUTO_BUF struct buf out;
	buf_init(&out, 40);
	assert_true(sse_encode(&out, "agent.message", SPAN_LIT("{}")));
	assert_string_equal(buf_str(&out), "event: agent.message\ndata: {}\n\n");
	assert_false(sse_encode(&out, "agent.message", SPAN_LIT("{}")));
	assert_string_equal(buf_str(&out), "event: agent.message\ndata: {}\n\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cases_at_every_split),
	        cmocka_unit_test(test_too_large),
	        cmocka_unit_test(test_callback_frees_decoder),
	        cmocka_unit_test(test_encode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// Frames at every byte split, and frames that must be refused.
#include "unit/unit.h"

#include "audit/frame.h"
#include "base/mem.h"

struct seen {
	struct buf told;
	bool pause;
	bool pause_at_end;
};

static struct result on_text(void *arg, const struct frame *f, struct span text, struct err *e)
{
	struct seen *s = arg;
	(void)e;
	assert_true(buf_printf(&s->told, "[%c%d %llu %.*s|", f->type, (int)f->kind, (unsigned long long)f->id, SPAN_FMT(text)));
	return OK;
}

static struct result on_payload(void *arg, bool is_result, struct span piece, struct err *e)
{
	struct seen *s = arg;
	(void)e;
	// One mark a byte, so that it reads the same however the payload was cut.
	for (size_t i = 0; i < piece.len; i++)
		assert_true(buf_printf(&s->told, "%c%c", is_result ? 'r' : 'a', piece.data[i]));
	return OK;
}

static struct result on_end(void *arg, const struct frame *f, struct err *e)
{
	struct seen *s = arg;
	(void)f;
	(void)e;
	s->pause = s->pause_at_end;
	return buf_add_str(&s->told, "]") ? OK : FAIL;
}

static const struct frame_events events = {on_text, on_payload, on_end};

static struct buf three_frames(void)
{
	struct buf b;
	buf_init(&b, 4096);
	const struct frame entry = {.type = FRAME_ENTRY, .id = 1ULL << 40, .text_len = 4, .args_len = 3, .result_len = 2};
	assert_true(frame_put_text(&b, FRAME_HELLO, ERR_NONE, 0, SPAN_LIT("{hi}")));
	assert_true(frame_put(&b, &entry) && buf_add_str(&b, "text") && buf_add_str(&b, "xyz") && buf_add_str(&b, "uv"));
	assert_true(frame_put_text(&b, FRAME_REFUSED, ERR_SYSTEM, 7, SPAN_LIT("")));
	return b;
}

#define THREE "[H0 0 {hi}|][E0 1099511627776 text|axayazrurv][R10 7 |]"

static void test_every_split(void **state)
{
	(void)state;
	struct buf bytes = three_frames();
	struct span all = buf_span(&bytes);
	for (size_t a = 0; a <= all.len; a++) {
		for (size_t b = a; b <= all.len; b += 3) {
			struct seen s = {0};
			struct frame_reader r;
			size_t taken;
			buf_init(&s.told, 4096);
			frame_reader_init(&r);
			const struct span parts[] = {span_head(all, a), span_head(span_skip(all, a), b - a), span_skip(all, b)};
			for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
				assert_false(failed(frame_feed(&r, parts[i], &events, &s, NULL, &taken, NULL)));
				assert_int_equal(taken, parts[i].len);
			}
			assert_string_equal(buf_str(&s.told), THREE);
			frame_reader_fini(&r);
			buf_fini(&s.told);
		}
	}
	buf_fini(&bytes);
}

static void test_pause_stops_after_a_frame(void **state)
{
	(void)state;
	struct buf bytes = three_frames();
	struct seen s = {.pause_at_end = true};
	struct frame_reader r;
	size_t taken;
	buf_init(&s.told, 4096);
	frame_reader_init(&r);
	for (int i = 0; i < 3; i++) {
		s.pause = false;
		assert_false(failed(frame_feed(&r, buf_span(&bytes), &events, &s, &s.pause, &taken, NULL)));
		buf_consume(&bytes, taken);
	}
	assert_int_equal(buf_len(&bytes), 0);
	assert_string_equal(buf_str(&s.told), THREE);
	frame_reader_fini(&r);
	buf_fini(&s.told);
	buf_fini(&bytes);
}

static void assert_refused(unsigned char header[FRAME_HEADER])
{
	struct seen s = {0};
	struct frame_reader r;
	size_t taken;
	buf_init(&s.told, 4096);
	frame_reader_init(&r);
	assert_true(failed(frame_feed(&r, span_from((const char *)header, FRAME_HEADER), &events, &s, NULL, &taken, NULL)));
	assert_int_equal(buf_len(&s.told), 0);
	frame_reader_fini(&r);
	buf_fini(&s.told);
}

static void test_malformed_headers(void **state)
{
	(void)state;
	assert_refused((unsigned char[FRAME_HEADER]){0});
	assert_refused((unsigned char[FRAME_HEADER]){'Z'});
	assert_refused((unsigned char[FRAME_HEADER]){'E', 200});
	assert_refused((unsigned char[FRAME_HEADER]){'E', 0, 1});
	assert_refused((unsigned char[FRAME_HEADER]){'E', 0, 0, 1});
	assert_refused((unsigned char[FRAME_HEADER]){'E', 0, 0, 0, 0xff, 0, 0, 0});
	assert_refused((unsigned char[FRAME_HEADER]){'E', [16] = 0x10});
	assert_refused((unsigned char[FRAME_HEADER]){'E', [20] = 0x10});
	assert_refused((unsigned char[FRAME_HEADER]){'H', [19] = 1});
	assert_refused((unsigned char[FRAME_HEADER]){'A', [23] = 1});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_split),
	        cmocka_unit_test(test_pause_stops_after_a_frame),
	        cmocka_unit_test(test_malformed_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdlib.h>

#include "base/mem.h"
#include "tools/text.h"
#include "unit/unit.h"

static void assert_decoded(struct span in, const char *want)
{
	AUTO_BUF struct buf out;

	buf_init(&out, 3 * in.len + 1);
	assert_true(text_decode(in, &out));
	assert_string_equal(buf_str(&out), want);
	assert_true(span_is_utf8(buf_span(&out)));
}

#define BAD "\xEF\xBF\xBD"

static void test_ill_formed_parts_become_one_character_each(void **state)
{
	(void)state;
	assert_decoded(SPAN_LIT("plain \xC3\xA9 \xF0\x9F\x98\x80"), "plain \xC3\xA9 \xF0\x9F\x98\x80");
	assert_decoded(SPAN_LIT("\xFF\xFE"), BAD BAD);
	assert_decoded(SPAN_LIT("\xE2\x82"), BAD);
	assert_decoded(SPAN_LIT("\xE2\x82z"), BAD "z");
	assert_decoded(SPAN_LIT("\xF0\x9F\x98"), BAD);
	assert_decoded(SPAN_LIT("\xC0\xAF"), BAD BAD);
	assert_decoded(SPAN_LIT("\xED\xA0\x80"), BAD BAD BAD);
	assert_decoded(SPAN_LIT("\xF4\x90\x80\x80"), BAD BAD BAD BAD);
	assert_decoded(SPAN_LIT("\xF1\x80\x80\xE1\x80\xC2"), BAD BAD BAD);
}

static void test_lengths_are_utf16(void **state)
{
	bool split;
	struct span s = SPAN_LIT("a\xC3\xA9\xF0\x9F\x98\x80");

	(void)state;
	assert_int_equal(text_units(s), 4);
	assert_int_equal(text_units(SPAN_LIT("\xFF\xE2\x82")), 2);
	assert_int_equal(text_head(s, 2, &split).len, 3);
	assert_false(split);
	assert_int_equal(text_head(s, 3, &split).len, 3);
	assert_true(split);
	assert_int_equal(text_head(s, 100, &split).len, s.len);
	assert_int_equal(text_tail(s, 1, &split).len, 0);
	assert_true(split);
	assert_int_equal(text_tail(s, 2, &split).len, 4);
	assert_false(split);
	assert_int_equal(text_tail(s, 3, &split).len, 6);
	assert_int_equal(text_tail((struct span){0}, 3, &split).len, 0);

	size_t n;
	uint16_t *units = text_utf16(s, &n);
	assert_int_equal(n, 4);
	assert_int_equal(units[2], 0xD83D);
	assert_int_equal(units[3], 0xDE00);
	free(units);
}

static void assert_stripped(const char *in, const char *want)
{
	AUTO_BUF struct buf b;

	buf_init(&b, 100);
	assert_true(buf_add_str(&b, in));
	text_strip_ansi(&b);
	assert_string_equal(buf_str(&b), want);
}

static void test_ansi(void **state)
{
	(void)state;
	assert_stripped("", "");
	assert_stripped("plain", "plain");
	assert_stripped("\x1b[31mred\x1b[0m", "red");
	assert_stripped("\x1b[", "\x1b[");
	assert_stripped("\x1b[12", "\x1b[12");
	assert_stripped("\x1b[1;?2 !x", "");
	assert_stripped("\x1b\x1b[mx", "\x1bx");
	assert_stripped("\x1b[1\nm", "\x1b[1\nm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ill_formed_parts_become_one_character_each),
	        cmocka_unit_test(test_lengths_are_utf16),
	        cmocka_unit_test(test_ansi),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

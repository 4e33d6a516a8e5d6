// What a person's terminal is shown of hostile text.
#include <stdlib.h>

#include "base/mem.h"
#include "cli/printable.h"
#include "unit/unit.h"

static void shows(struct span text, bool lines, const char *want)
{
	struct buf b;
	buf_init(&b, 4096);
	printable_add(&b, text, lines);
	assert_string_equal(buf_str(&b), want);
	buf_fini(&b);
}

static void controls_are_shown(void **state)
{
	(void)state;
	shows(SPAN_LIT("\x1b[31mred\x1b]0;title\x07"), true, "<1b>[31mred<1b>]0;title<07>");
	shows(SPAN_LIT("a\r\nb\tc"), true, "a<0d>\nb\tc");
	shows(SPAN_LIT("a\nb\tc"), false, "a b c");
	shows(SPAN_LIT("nul\0x"), true, "nul<00>x");
	shows(SPAN_LIT("\xc2\x9b"
	               "31m"),
	      true, "<9b>31m");
	shows(SPAN_LIT("bs\x08 del\x7f"), true, "bs<08> del<7f>");
}

static void reordering_is_shown(void **state)
{
	(void)state;
	shows(SPAN_LIT("a\xe2\x80\xae"
	               "b"),
	      true, "a<u202e>b");
	shows(SPAN_LIT("a\xe2\x80\x8b"
	               "b"),
	      true, "a<u200b>b");
	shows(SPAN_LIT("tag\xf3\xa0\x81\x81"), true, "tag<ue0041>");
}

static void malformed_is_shown(void **state)
{
	(void)state;
	shows(SPAN_LIT("\xff\xc3("), true, "<ff><c3>(");
	shows(SPAN_LIT("\xed\xa0\x80"), true, "<ed><a0><80>");
	shows(SPAN_LIT("\xe2\x82"), true, "<e2><82>");
	shows(SPAN_LIT("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), true, "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
}

static void lines_are_cut_between_characters(void **state)
{
	(void)state;
	AUTO_FREE char *cut = printable_line(SPAN_LIT("ab\xc3\xbc\xc3\xbc"), 3);
	assert_string_equal(cut, "ab…");
	AUTO_FREE char *whole = printable_line(SPAN_LIT("ab\xc3\xbc"), 4);
	assert_string_equal(whole, "ab\xc3\xbc");
	assert_int_equal(printable_width("ab\xc3\xbc"), 3);
	AUTO_FREE char *bounded = printable_line(SPAN_LIT("\x1b\x1b\x1b\x1b\x1b\x1b"), 8);
	assert_string_equal(bounded, "<1b><1b>…");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(controls_are_shown),
	        cmocka_unit_test(reordering_is_shown),
	        cmocka_unit_test(malformed_is_shown),
	        cmocka_unit_test(lines_are_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

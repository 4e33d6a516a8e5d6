#include <stdlib.h>

#include "base/span.h"
#include "base/words.h"
#include "unit/unit.h"

static void test_trim_and_cut(void **state)
{
	struct span head, rest;

	(void)state;
	assert_true(span_is(span_trim(SPAN_LIT(" \ta b\t ")), "a b"));
	assert_true(span_is(span_trim(SPAN_LIT(" \t ")), ""));
	assert_true(span_is(span_trim((struct span){0}), ""));
	assert_true(span_cut(SPAN_LIT("a=b=c"), '=', &head, &rest));
	assert_true(span_is(head, "a") && span_is(rest, "b=c"));
	assert_true(span_cut(SPAN_LIT("="), '=', &head, &rest));
	assert_true(span_is(head, "") && span_is(rest, ""));
	assert_false(span_cut(SPAN_LIT("abc"), '=', &head, &rest));
	assert_true(span_is(head, "abc") && span_is(rest, ""));
	assert_false(span_cut((struct span){0}, '=', &head, &rest));
	assert_true(span_is(span_skip(SPAN_LIT("abc"), 9), ""));
	assert_true(span_is(span_head(SPAN_LIT("abc"), 9), "abc"));
}

static void test_comparing(void **state)
{
	(void)state;
	assert_true(span_eq((struct span){0}, SPAN_LIT("")));
	assert_false(span_eq(SPAN_LIT("a"), SPAN_LIT("a\0b")));
	assert_true(span_starts(SPAN_LIT("abc"), "ab"));
	assert_false(span_starts(SPAN_LIT("a"), "ab"));
	assert_true(span_is_nocase(SPAN_LIT("Content-Type"), "content-type"));
	assert_false(span_is_nocase(SPAN_LIT("Content-Typ"), "content-type"));
	assert_true(span_eq_secret(SPAN_LIT("secret"), SPAN_LIT("secret")));
	assert_false(span_eq_secret(SPAN_LIT("secret"), SPAN_LIT("secreT")));
	assert_false(span_eq_secret(SPAN_LIT("secret"), SPAN_LIT("secret\0")));
	assert_false(span_eq_secret(SPAN_LIT(""), SPAN_LIT("s")));
}

static void test_numbers(void **state)
{
	static const char *const bad[] = {
	        "", " 1", "1 ", "+1", "-1", "0x1", "1.0", "18446744073709551616", "99999999999999999999", "1e3"};
	uint64_t n = 7;
	struct err e;

	(void)state;
	assert_false(failed(span_to_u64(SPAN_LIT("18446744073709551615"), UINT64_MAX, "n", &n, &e)));
	assert_true(n == UINT64_MAX);
	assert_false(failed(span_to_u64(SPAN_LIT("007"), 7, "n", &n, &e)));
	assert_int_equal(n, 7);
	assert_true(failed(span_to_u64(SPAN_LIT("8"), 7, "size", &n, &e)));
	assert_string_equal(e.msg, "size: 8 is over the maximum of 7");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(failed(span_to_u64(span_of(bad[i]), UINT64_MAX, "n", &n, &e)));
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_int_equal(n, 7);
}

static void test_utf8(void **state)
{
	static const char *const good[] = {"",
	                                   "a\x7f",
	                                   "\xc2\x80",
	                                   "\xdf\xbf",
	                                   "\xe0\xa0\x80",
	                                   "\xed\x9f\xbf",
	                                   "\xee\x80\x80",
	                                   "\xf0\x90\x80\x80",
	                                   "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
	                                  "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
	                                  "\xc2",         "\xe1\x80",         "\xf1\x80\x80",     "a\xff",
	                                  "\xc2z"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(span_is_utf8(span_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(span_is_utf8(span_of(bad[i])));
}

static void test_nearest_word(void **state)
{
	static const char *const known[] = {"listen", "store", "models", "environments", NULL};
	char longest[200];

	(void)state;
	assert_string_equal(words_nearest(SPAN_LIT("lisen"), known), "listen");
	assert_string_equal(words_nearest(SPAN_LIT("sotre"), known), "store");
	assert_string_equal(words_nearest(SPAN_LIT("enviroments"), known), "environments");
	assert_null(words_nearest(SPAN_LIT("gateway"), known));
	assert_null(words_nearest(SPAN_LIT(""), known));
	memset(longest, 'x', sizeof(longest));
	assert_null(words_nearest(span_from(longest, sizeof(longest)), known));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_trim_and_cut), cmocka_unit_test(test_comparing),    cmocka_unit_test(test_numbers),
	        cmocka_unit_test(test_utf8),         cmocka_unit_test(test_nearest_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tools/regex.h"
#include "tools/text.h"
#include "unit/unit.h"

static enum regex_match test(const char *pattern, const char *line, uint64_t ms)
{
	struct regex *r = NULL;
	struct err e = {0};
	size_t n;

	if (failed(regex_new(span_of(pattern), &r, &e)))
		fail_msg("%s: %s", pattern, e.msg);
	uint16_t *units = text_utf16(span_of(line), &n);
	enum regex_match m = regex_test(r, units, n, clock_mono_ms() + ms);
	free(units);
	regex_free(r);
	return m;
}

static void test_javascript_meanings(void **state)
{
	static const struct {
		const char *pattern, *yes, *no;
	} cases[] = {
	        {"^a.c$", "abc", "a\rc"},
	        {"\\d+", "1", "x"},
	        {"\\s", "\xC2\xA0", "x"},
	        {"\\w", "_", "\xC3\xA9"},
	        {"\\bfoo\\b", "a foo", "afoo"},
	        {"(a)\\1", "aa", "ab"},
	        {"\\2(a)(b)", "ab", "ba"},
	        {"[^]", "x", ""},
	        {"a[]|b", "b", "a"},
	        {"\\x41", "A", "a"},
	        {"\\u00e9", "\xC3\xA9", "e"},
	        {"\\101", "A", "B"},
	        {"a{2}", "aa", "a"},
	        {"^a{,2}$", "a{,2}", "aa"},
	        {"^{}$", "{}", ""},
	        {"(?<n>a)\\k<n>", "aa", "a"},
	        {"\\k", "k", "j"},
	        {"\\cA", "\x01", "A"},
	        {"\\c", "\\c", "c"},
	        {"[\\b]", "\b", "b"},
	        {"(?=a)\\w", "a", "b"},
	        {"(?<!a)b", "cb", "ab"},
	        {"^..$", "\xF0\x9F\x98\x80", "x"},
	        {"^(a\\1)$", "a", "aa"},
	        {"a$", "a", "a\n"},
	        {"[\\d-x]", "-", "y"},
	        {"a{0,99999}b", "b", "a"},
	        {"\\8", "8", "\\"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (test(cases[i].pattern, cases[i].yes, 10000) != REGEX_YES ||
		    test(cases[i].pattern, cases[i].no, 10000) != REGEX_NO)
			fail_msg("pattern %s", cases[i].pattern);
	}
}

static void test_errors_are_v8s(void **state)
{
	static const char *const cases[][2] = {
	        {"(", "Unterminated group"},
	        {")", "Unmatched ')'"},
	        {"*", "Nothing to repeat"},
	        {"a**", "Nothing to repeat"},
	        {"^*", "Nothing to repeat"},
	        {"[a", "Unterminated character class"},
	        {"[b-a]", "Range out of order in character class"},
	        {"a{2,1}", "numbers out of order in {} quantifier"},
	        {"(?i)a", "Invalid group"},
	        {"(?<1>a)", "Invalid capture group name"},
	        {"(?<a>x)(?<a>y)", "Duplicate capture group name"},
	        {"(?<a>x)\\k<b>", "Invalid named capture referenced"},
	        {"(?<a>x)\\k", "Invalid named reference"},
	        {"\\", "\\ at end of pattern"},
	        {"[\\", "\\ at end of pattern"},
	};
	struct regex *r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(failed(regex_new(span_of(cases[i][0]), &r, &e)));
		assert_string_equal(e.msg, cases[i][1]);
	}
}

static void test_hard_matches_end_in_time(void **state)
{
	char line[2001], deep[40001];
	struct regex *r;
	struct err e;

	(void)state;
	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	uint64_t begin = clock_mono_ms();
	assert_int_equal(test("^(a+)+(a+)+(a+)+b$", line, 200), REGEX_TIMED_OUT);
	assert_true(clock_mono_ms() - begin < 20000);
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_true(failed(regex_new(span_of(deep), &r, &e)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_javascript_meanings),
	        cmocka_unit_test(test_errors_are_v8s),
	        cmocka_unit_test(test_hard_matches_end_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

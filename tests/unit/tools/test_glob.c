// Patterns without a file system: expansion, and what a part matches.
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tools/glob.h"
#include "unit/unit.h"

static void assert_expands(const char *pattern, const char *want)
{
	struct arena a = {0};
	struct arena_list out = {0};
	AUTO_BUF struct buf all;

	buf_init(&all, 1000);
	assert_false(failed(glob_brace_expand(&a, pattern, &out, NULL)));
	for (size_t i = 0; i < out.count; i++)
		assert_true(buf_printf(&all, "%s%s", i > 0 ? " " : "", (const char *)out.items[i]));
	assert_string_equal(buf_str(&all), want);
	arena_fini(&a);
}

static void test_braces(void **state)
{
	(void)state;
	assert_expands("a", "a");
	assert_expands("{a,b}", "a b");
	assert_expands("x{a,b}y{1,2}", "xay1 xay2 xby1 xby2");
	assert_expands("{1..3}", "1 2 3");
	assert_expands("{3..1}", "3 2 1");
	assert_expands("{-1..1}", "-1 0 1");
	assert_expands("{01..10..4}", "01 05 09");
	assert_expands("{a..e..2}", "a c e");
	assert_expands("{a,{b,c}}", "a b c");
	assert_expands("{a}", "{a}");
	assert_expands("{}", "{}");
	assert_expands("{},a}", "{},a}");
	assert_expands("${a,b}", "${a,b}");
	assert_expands("{a,b", "{a,b");
	assert_expands("{,a}", "a");
	assert_expands("x{,a}", "x xa");
	assert_expands("{{a,b}}", "{a} {b}");
	assert_expands("a{b},c}", "ab} ac");
}

static void test_expansions_are_bounded(void **state)
{
	struct arena a = {0};
	struct arena_list out = {0};
	struct err e;

	(void)state;
	assert_false(failed(glob_brace_expand(&a, "{1..999999999999}", &out, &e)));
	assert_int_equal(out.count, GLOB_EXPANSIONS);
	arena_fini(&a);
	out = (struct arena_list){0};
	assert_false(failed(glob_brace_expand(&a, "{1..5..0}", &out, &e))); // never gets further
	assert_int_equal(out.count, GLOB_EXPANSIONS);
	arena_fini(&a);
	char deep[4001];
	for (size_t i = 0; i < sizeof(deep) - 1; i++)
		deep[i] = "{a,b}"[i % 5];
	deep[sizeof(deep) - 1] = '\0';
	out = (struct arena_list){0};
	assert_true(failed(glob_brace_expand(&a, deep, &out, &e)));
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	arena_fini(&a);
}

static bool matches(const char *pattern, const char *name)
{
	struct glob_patterns g = {0};
	struct glob_part p;
	struct err e;

	if (failed(glob_part_compile(&g, pattern, &p, &e)))
		fail_msg("%s: %s", pattern, e.msg);
	bool yes = glob_part_matches(&p, name);
	glob_fini(&g);
	return yes;
}

static void test_parts(void **state)
{
	static const struct {
		const char *pattern, *yes, *no;
	} cases[] = {
	        {"a", "a", "b"},
	        {"*", "a", ".a"},
	        {"*.c", "x.c", ".c"},
	        {"?", "a", "ab"},
	        {"??", "\xF0\x9F\x98\x80", "a"},
	        {"[ab]", "a", "c"},
	        {"[!ab]", "c", "a"},
	        {"[a-c]x", "bx", "dx"},
	        {"[]]", "]", "["},
	        {"[a", "[a", "a"},
	        {".*", ".a", ".."},
	        {"@(a|b)", "b", "ab"},
	        {"*(a|b)", "abba", "abc"},
	        {"+(a)", "aa", "b"},
	        {"?(a)b", "ab", "aab"},
	        {"!(a)", "b", "a"},
	        {"!(a)b", "aab", "ab"},
	        {"!(*.c|*.h)", "x.o", "x.c"},
	        {"[[:digit:]]", "7", "x"},
	        {"[[:alpha:]-]", "-", "7"},
	        {"a-[[:digit:]]", "a-1", "a-x"},
	        {"(a)", "(a)", "a"},
	        {"@()", "@()", ""},
	        {"a@(", "a@(", "a"},
	        {"[[:alpha:]", "[a", "a"},
	        {"[.]x", ".x", "ax"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!matches(cases[i].pattern, cases[i].yes) || matches(cases[i].pattern, cases[i].no))
			fail_msg("pattern %s", cases[i].pattern);
	}
}

static void test_patterns_that_would_blow_up(void **state)
{
	static const char *const nasty[] = {
	        "!(a)!(b)!(c)!(d)!(e)!(f)!(g)!(h)!(i)!(j)!(k)!(l)!(m)!(n)!(o)!(p)!(q)!(r)!(s)!(t)!(u)!(v)", "+(+(+(+(+(+(a",
	        "*(*(*(*(*(*(*(*(a))))))))*(*(a|b)|*(c))", "!(!(!(!(!(a)))))"};
	char deep[60001], name[256];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(nasty) / sizeof(nasty[0]); i++) {
		struct glob_patterns g = {0};
		(void)!failed(glob_compile(span_of(nasty[i]), &g, &e)); // either is fine, but it must end
		glob_fini(&g);
	}
	for (size_t i = 0; i < sizeof(deep) - 1; i++)
		deep[i] = "+("[i % 2];
	deep[sizeof(deep) - 1] = '\0';
	struct glob_patterns g = {0};
	(void)!failed(glob_compile(span_of(deep), &g, &e));
	glob_fini(&g);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_false(matches("+(a|aa)+(a|aa)+(a|aa)b", name)); // the match gives up
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_braces),
	        cmocka_unit_test(test_expansions_are_bounded),
	        cmocka_unit_test(test_parts),
	        cmocka_unit_test(test_patterns_that_would_blow_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/cli_args.h"

static const struct cli_option verify_options[] = {{"session", "ID", "one session"}, {"deep", NULL, "all of it"}, {0}};

static const struct cli_command ps = {.name = "ps"};
static const struct cli_command audit_show = {.name = "audit show", .synopsis = "[SESSION]", .rest_max = 1};
static const struct cli_command audit_verify = {.name = "audit verify", .options = verify_options};
static const struct cli_command sandbox = {.name = "sandbox", .rest_max = SIZE_MAX};
static const struct cli_command sandbox_run = {
        .name = "sandbox run", .synopsis = "-- COMMAND [ARG...]", .rest_min = 1, .rest_max = SIZE_MAX};
static const struct cli_command spawner = {.name = "spawner", .hidden = true};
static const struct cli_command *const table[] = {&ps, &audit_show, &audit_verify, &sandbox, &sandbox_run, &spawner, NULL};

static struct cli_args a;
static struct err e;

#define PARSE(...)                                             \
	parse((const char *const[]){"sallyport", __VA_ARGS__}, \
	      sizeof((const char *const[]){"sallyport", __VA_ARGS__}) / sizeof(char *))

static bool parse(const char *const *argv, size_t argc)
{
	cli_args_fini(&a);
	e = (struct err){0};
	return !failed(cli_args_parse(&a, table, (int)argc, argv, &e));
}

static int teardown(void **state)
{
	(void)state;
	cli_args_fini(&a);
	return 0;
}

static void test_longest_name_wins(void **state)
{
	(void)state;
	assert_true(PARSE("sandbox", "run", "ls"));
	assert_ptr_equal(a.command, &sandbox_run);
	assert_int_equal(a.n_rest, 1);
	assert_true(PARSE("sandbox", "runs", "ls"));
	assert_ptr_equal(a.command, &sandbox);
	assert_int_equal(a.n_rest, 2);
}

static void test_options(void **state)
{
	(void)state;
	assert_true(PARSE("--json", "audit", "verify", "--session=s=1", "--deep", "--config", "f.yaml", "-q"));
	assert_ptr_equal(a.command, &audit_verify);
	assert_string_equal(cli_value(&a, "session"), "s=1");
	assert_string_equal(cli_value(&a, "deep"), "");
	assert_string_equal(cli_value(&a, "config"), "f.yaml");
	assert_true(cli_json(&a));
	assert_true(cli_quiet(&a));
	assert_true(PARSE("audit", "verify", "--session", "--deep"));
	assert_string_equal(cli_value(&a, "session"), "--deep");
	assert_null(cli_value(&a, "deep"));
	assert_null(cli_value(&a, "no such option"));
}

static void test_double_dash_ends_options(void **state)
{
	(void)state;
	assert_true(PARSE("sandbox", "run", "--json", "--", "ls", "--json", "--", "-q", "-"));
	assert_int_equal(a.n_rest, 5);
	assert_string_equal(a.rest[0], "ls");
	assert_string_equal(a.rest[1], "--json");
	assert_string_equal(a.rest[2], "--");
	assert_string_equal(a.rest[4], "-");
	assert_null(a.rest[5]);
	assert_false(cli_quiet(&a));
}

static void test_option_errors(void **state)
{
	(void)state;
	assert_false(PARSE("ps", "--jsno"));
	assert_int_equal(e.kind, ERR_MISUSED);
	assert_non_null(strstr(e.msg, "did you mean --json?"));
	assert_false(PARSE("ps", "--deep"));
	assert_non_null(strstr(e.msg, "sallyport ps --help"));
	assert_false(PARSE("audit", "verify", "--session"));
	assert_non_null(strstr(e.msg, "--session needs a value"));
	assert_false(PARSE("ps", "--json=yes"));
	assert_non_null(strstr(e.msg, "--json takes no value"));
	assert_false(PARSE("audit", "verify", "--session=1", "--session=2"));
	assert_non_null(strstr(e.msg, "--session is given twice"));
	assert_false(PARSE("ps", "-x"));
	assert_false(PARSE("ps",
	                   "--"
	                   "=1"));
	assert_false(PARSE("ps", "--color=blue"));
	assert_non_null(strstr(e.msg, "auto, always or never"));
}

static void test_command_errors(void **state)
{
	(void)state;
	assert_false(PARSE("adit", "verify"));
	assert_non_null(strstr(e.msg, "did you mean 'sallyport audit verify'?"));
	assert_false(PARSE("audit", "verfy"));
	assert_non_null(strstr(e.msg, "did you mean 'sallyport audit verify'?"));
	assert_false(PARSE("frobnicate"));
	assert_non_null(strstr(e.msg, "'sallyport help' lists them all"));
	assert_false(PARSE("spawnre"));
	assert_null(strstr(e.msg, "spawner")); // hidden from suggestions
	assert_true(PARSE("spawner"));
}

static void test_group(void **state)
{
	(void)state;
	assert_true(PARSE("audit"));
	assert_null(a.command);
	assert_string_equal(a.group, "audit");
	assert_true(PARSE("--json"));
	assert_null(a.command);
	assert_string_equal(a.group, "");
}

static void test_number_of_arguments(void **state)
{
	(void)state;
	assert_false(PARSE("audit", "show", "one", "two"));
	assert_non_null(strstr(e.msg, "'two' is too much\ntype: sallyport audit show [SESSION]"));
	assert_false(PARSE("sandbox", "run"));
	assert_non_null(strstr(e.msg, "type: sallyport sandbox run -- COMMAND"));
	assert_true(PARSE("sandbox", "run", "--help"));
	assert_true(PARSE("ps", "-h"));
}

static void test_long_words_are_cut(void **state)
{
	char word[5000];

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_false(PARSE(word));
	assert_false(PARSE("audit", word));
	assert_false(PARSE("audit", "show", word, word));
	word[0] = word[1] = '-';
	assert_false(PARSE("ps", word));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(test_longest_name_wins, teardown),
	        cmocka_unit_test_teardown(test_options, teardown),
	        cmocka_unit_test_teardown(test_double_dash_ends_options, teardown),
	        cmocka_unit_test_teardown(test_option_errors, teardown),
	        cmocka_unit_test_teardown(test_command_errors, teardown),
	        cmocka_unit_test_teardown(test_group, teardown),
	        cmocka_unit_test_teardown(test_number_of_arguments, teardown),
	        cmocka_unit_test_teardown(test_long_words_are_cut, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

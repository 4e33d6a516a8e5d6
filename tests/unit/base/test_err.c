#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/span.h"
#include "unit/unit.h"

static void test_messages_are_text(void **state)
{
	struct err e = {0};

	(void)state;
	(void)err_set(&e, ERR_INVALID, "'%s' is none", "\x1b[2J\xff\xc3\xa9\tx\n");
	assert_string_equal(e.msg, "'?[2J?\xc3\xa9\tx\n' is none");
	// A quote cut within a character, and a message cut at the end of its room.
	(void)err_set(&e, ERR_INVALID, "'%.*s'", 3, "a\xe2\x82\xac");
	assert_string_equal(e.msg, "'a?\?'");
	char lots[2000];
	memset(lots, 'x', sizeof(lots) - 1);
	lots[sizeof(lots) - 1] = '\0';
	memcpy(lots + sizeof(e.msg) - 2, "\xc3\xa9", 2);
	(void)err_set(&e, ERR_INVALID, "%s", lots);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	assert_true(span_is_utf8(span_of(e.msg)));
}

static void test_layers(void **state)
{
	struct err e = {0};

	(void)state;
	errno = ENOENT;
	assert_true(failed(err_sys(&e, "open %d", 7)));
	assert_int_equal(e.kind, ERR_SYSTEM);
	assert_int_equal(e.sys, ENOENT);
	assert_string_equal(e.msg, "open 7: No such file or directory");
	assert_true(failed(err_prefix(&e, "%s", "config")));
	assert_string_equal(e.msg, "config: open 7: No such file or directory");
	assert_true(failed(err_set(NULL, ERR_INVALID, "nobody asks")));
	assert_int_equal(err_exit_code(ERR_UNREACHABLE), 4);
	assert_int_equal(err_exit_code(ERR_CORRUPT), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_messages_are_text),
	        cmocka_unit_test(test_layers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

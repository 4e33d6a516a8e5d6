#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "unit/unit.h"

static struct err e;

// What `speak` wrote to standard error.
static void captured(void (*speak)(void), struct buf *out)
{
	char path[] = "/tmp/unit-log-XXXXXX";
	int saved = dup(STDERR_FILENO);
	int fd = mkstemp(path);

	assert_true(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	speak();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	assert_false(failed(file_read(path, out, &e)));
	unlink(path);
}

static void say_hostile(void)
{
	log_info("test.hostile", "value=%s", LOG_Q(SPAN_LIT("a\"b\n\x1b[31m\xff")));
}

static void test_hostile_bytes_are_escaped(void **state)
{
	AUTO_BUF struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	log_init("unit", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	captured(say_hostile, &out);
	assert_non_null(strstr(buf_str(&out), " info  unit test.hostile value=\"a\\\"b\\x0a\\x1b[31m\\xff\"\n"));
}

static void say_two_lines(void)
{
	log_info("test.lines", "value=%s", "one\n2026 error forged\xff");
}

static void test_a_line_stays_one(void **state)
{
	AUTO_BUF struct buf out;

	(void)state;
	buf_init(&out, 1 << 20);
	log_init("unit", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	captured(say_two_lines, &out);
	assert_non_null(strstr(buf_str(&out), "test.lines value=one?2026 error forged?\n"));
}

static void say_json(void)
{
	log_warn("test.json", "value=%s", "quote\" back\\ line\n\xff");
}

static void test_a_json_line_is_json(void **state)
{
	AUTO_BUF struct buf out;
	AUTO_JSON json_t *j = NULL;

	(void)state;
	buf_init(&out, 1 << 20);
	log_init("unit", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	captured(say_json, &out);
	assert_false(failed(json_parse_object(buf_span(&out), "line", &j, &e)));
	assert_string_equal(json_string_value(json_object_get(j, "level")), "warn");
	assert_string_equal(json_string_value(json_object_get(j, "text")), "value=quote\" back\\ line\n?");
}

static void say_much(void)
{
	for (int i = 0; i < 1000; i++)
		log_error("test.much", "i=%d", i);
	log_debug("test.debug", "not at this level");
}

static void test_a_flood_is_held_back(void **state)
{
	AUTO_BUF struct buf out;
	size_t lines = 0;

	(void)state;
	buf_init(&out, 1 << 20);
	log_init("unit", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	captured(say_much, &out);
	for (size_t i = 0; i < buf_len(&out); i++)
		lines += buf_span(&out).data[i] == '\n';
	assert_in_range(lines, 20, 60); // 20 a second, and the loop may meet a second's end or two
	assert_null(strstr(buf_str(&out), "test.debug"));
}

static void test_quoting_is_cut(void **state)
{
	char hostile[1000], out[LOG_QUOTED_LEN];

	(void)state;
	memset(hostile, 0xff, sizeof(hostile));
	log_quote(span_from(hostile, sizeof(hostile)), out);
	assert_true(strlen(out) < LOG_QUOTED_LEN);
	assert_non_null(strstr(out, "...\""));
	assert_string_equal(log_quote((struct span){0}, out), "\"\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hostile_bytes_are_escaped),
	        cmocka_unit_test(test_a_line_stays_one),
	        cmocka_unit_test(test_a_json_line_is_json),
	        cmocka_unit_test(test_a_flood_is_held_back),
	        cmocka_unit_test(test_quoting_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "unit/unit.h"

static char dir[] = "/tmp/unit-file-XXXXXX";
static struct err e;

static const char *in_dir(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, 256, "%s/%s", dir, name);
	return p;
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return failed(file_remove_tree(dir, &e)) ? -1 : 0;
}

static void test_writing_and_reading(void **state)
{
	AUTO_BUF struct buf b;
	struct stat st;

	(void)state;
	buf_init(&b, 5);
	assert_false(failed(file_write_atomic(in_dir("a"), SPAN_LIT("12345"), 0640, &e)));
	assert_false(failed(file_read(in_dir("a"), &b, &e)));
	assert_string_equal(buf_str(&b), "12345");
	assert_int_equal(stat(in_dir("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_false(failed(file_write_atomic(in_dir("a"), SPAN_LIT("123456"), 0600, &e)));
	assert_true(failed(file_read(in_dir("a"), &b, &e)));
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_non_null(strstr(e.msg, "larger than 5 bytes"));
	assert_true(failed(file_read(in_dir("none"), &b, &e)));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_true(failed(file_read(dir, &b, &e)));
	assert_int_equal(e.kind, ERR_INVALID);
}

static void test_creating_never_replaces(void **state)
{
	AUTO_BUF struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_false(failed(file_create(in_dir("new"), SPAN_LIT("first"), 0600, &e)));
	assert_true(failed(file_create(in_dir("new"), SPAN_LIT("second"), 0600, &e)));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(symlink("nowhere", in_dir("link")), 0);
	assert_true(failed(file_create(in_dir("link"), SPAN_LIT("x"), 0600, &e)));
	assert_false(failed(file_read(in_dir("new"), &b, &e)));
	assert_string_equal(buf_str(&b), "first");
}

static void test_a_secret_is_one_line_and_private(void **state)
{
	AUTO_BUF struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_false(failed(file_write_atomic(in_dir("key"), SPAN_LIT("sp-api-x\r\n"), 0640, &e)));
	assert_false(failed(file_read_secret(in_dir("key"), &b, &e)));
	assert_string_equal(buf_str(&b), "sp-api-x");
	assert_int_equal(chmod(in_dir("key"), 0644), 0);
	assert_true(failed(file_read_secret(in_dir("key"), &b, &e)));
	assert_int_equal(e.kind, ERR_DENIED);
	assert_non_null(strstr(e.msg, "chmod 600"));
	assert_false(failed(file_write_atomic(in_dir("key"), SPAN_LIT("\n"), 0600, &e)));
	assert_true(failed(file_read_secret(in_dir("key"), &b, &e)));
}

static void test_a_key_is_one_word(void **state)
{
	static const char *const none[] = {"sp-api-x\nX-Evil: 1\n", "two words", "tab\t", "caf\xc3\xa9", "\x7f"};
	AUTO_BUF struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_false(failed(file_write_atomic(in_dir("word"), SPAN_LIT("sp-api-x\n"), 0600, &e)));
	assert_false(failed(file_read_key(in_dir("word"), &b, &e)));
	assert_string_equal(buf_str(&b), "sp-api-x");
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_false(failed(file_write_atomic(in_dir("word"), span_of(none[i]), 0600, &e)));
		assert_true(failed(file_read_key(in_dir("word"), &b, &e)));
		assert_non_null(strstr(e.msg, "expected a key on one line"));
	}
}

static void test_leftovers_are_removed_and_nothing_else(void **state)
{
	static const char *const kept[] = {"left/a", "left/a.tmp-1", "left/a.tmp-00000000000000zz",
	                                   "left/.tmp-0123456789abcdef"};

	(void)state;
	assert_false(failed(file_mkdirs(in_dir("left"), 0700, &e)));
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		assert_false(failed(file_create(in_dir(kept[i]), SPAN_LIT("x"), 0600, &e)));
	assert_false(failed(file_create(in_dir("left/a.tmp-0123456789abcdef"), SPAN_LIT("x"), 0600, &e)));
	assert_false(failed(file_remove_leftovers(in_dir("left"), &e)));
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		assert_int_equal(access(in_dir(kept[i]), F_OK), 0);
	assert_int_not_equal(access(in_dir("left/a.tmp-0123456789abcdef"), F_OK), 0);
	assert_true(failed(file_remove_leftovers(in_dir("nowhere"), &e)));
}

static void test_a_pipe_does_not_block_reading(void **state)
{
	AUTO_BUF struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_true(failed(file_read(in_dir("fifo"), &b, &e)));
	assert_non_null(strstr(e.msg, "not a regular file"));
}

static void test_directories(void **state)
{
	(void)state;
	assert_false(failed(file_mkdirs(in_dir("x/y/z"), 0700, &e)));
	assert_false(failed(file_mkdirs(in_dir("x/y/z"), 0700, &e)));
	assert_false(failed(file_create(in_dir("x/f"), SPAN_LIT(""), 0600, &e)));
	assert_true(failed(file_mkdirs(in_dir("x/f"), 0700, &e)));
	assert_true(failed(file_mkdirs(in_dir("x/f/g"), 0700, &e)));
	assert_false(failed(file_mkdirs(in_dir("keep"), 0700, &e)));
	assert_false(failed(file_create(in_dir("keep/f"), SPAN_LIT("kept"), 0600, &e)));
	assert_int_equal(symlink("../../keep", in_dir("x/y/out")), 0);
	assert_int_equal(chmod(in_dir("x/y/z"), 0), 0);
	assert_false(failed(file_remove_tree(in_dir("x"), &e)));
	assert_int_equal(access(in_dir("x"), F_OK), -1);
	assert_int_equal(access(in_dir("keep/f"), F_OK), 0);
	assert_false(failed(file_remove_tree(in_dir("x"), &e)));
	assert_int_equal(symlink("keep", in_dir("link-to-keep")), 0);
	assert_true(failed(file_remove_tree(in_dir("link-to-keep"), &e)));
	assert_int_equal(access(in_dir("keep/f"), F_OK), 0);
}

// A hostile tree: deeper than there are descriptors or paths, its directories unreadable or read-only.
static void test_a_deep_tree_is_removed(void **state)
{
	(void)state;
	assert_false(failed(file_mkdirs(in_dir("deep"), 0700, &e)));
	int at = open(in_dir("deep"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 1200; i++) {
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		if (i % 50 == 0)
			assert_int_equal(mkdirat(at, "empty", 0), 0);
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		assert_int_equal(fchmod(at, i % 2 == 0 ? 0500 : 0), 0);
		fd_close(&at);
		at = next;
	}
	fd_close(&at);
	if (failed(file_remove_tree(in_dir("deep"), &e)))
		fail_msg("%s", e.msg);
	assert_int_equal(access(in_dir("deep"), F_OK), -1);
}

static void test_descriptors(void **state)
{
	char text[8] = "";
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_false(failed(fd_write_all(p[1], "1234", 4, &e)));
	assert_false(failed(fd_read_all(p[0], text, 4, &e)));
	assert_string_equal(text, "1234");
	assert_false(failed(fd_write_all(p[1], "12", 2, &e)));
	fd_close(&p[1]);
	assert_int_equal(p[1], -1);
	assert_true(failed(fd_read_all(p[0], text, 4, &e)));
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	fd_close(&p[0]);
	assert_true(failed(fd_write_all(-1, "x", 1, &e)));
	assert_int_equal(e.sys, EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_writing_and_reading),
	        cmocka_unit_test(test_creating_never_replaces),
	        cmocka_unit_test(test_a_secret_is_one_line_and_private),
	        cmocka_unit_test(test_a_key_is_one_word),
	        cmocka_unit_test(test_leftovers_are_removed_and_nothing_else),
	        cmocka_unit_test(test_a_pipe_does_not_block_reading),
	        cmocka_unit_test(test_directories),
	        cmocka_unit_test(test_a_deep_tree_is_removed),
	        cmocka_unit_test(test_descriptors),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

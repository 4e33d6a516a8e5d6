#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tools/path.h"
#include "unit/unit.h"

static void assert_resolves(const char *root, const char *p, const char *want)
{
	AUTO_FREE char *got = path_resolve(root, p);
	assert_string_equal(got, want);
}

static void assert_joins(const char *a, const char *b, const char *want)
{
	AUTO_FREE char *got = path_join(a, b);
	assert_string_equal(got, want);
}

static void test_resolve_and_join(void **state)
{
	(void)state;
	assert_resolves("/w", "a", "/w/a");
	assert_resolves("/w", "./a//b/../c/", "/w/a/c");
	assert_resolves("/w", "../../..", "/");
	assert_resolves("/w", "/", "/");
	assert_resolves("/w", "/x/.", "/x");
	assert_resolves("/w", "..x/...", "/w/..x/...");
	assert_resolves("/", "a", "/a");
	assert_joins("a", "b", "a/b");
	assert_joins("a", "", "a");
	assert_joins("", "", ".");
	assert_joins(".", "x", "x");
	assert_joins("../", "x", "../x");
	assert_joins("a", "..", ".");
	assert_joins("a", "../..", "..");
	assert_joins("/", "..", "/");
	assert_joins("a/", "", "a/");
}

static void test_within(void **state)
{
	(void)state;
	assert_true(path_is_within("/w", "/w"));
	assert_true(path_is_within("/w", "/w/x"));
	assert_false(path_is_within("/w", "/wx"));
	assert_false(path_is_within("/w/x", "/w"));
	assert_true(path_is_within("/", "/anything"));
}

static void test_canonical_and_opening(void **state)
{
	char dir[] = "/tmp/path-XXXXXX";
	char *out = NULL;
	const char *leaf;

	(void)state;
	assert_non_null(mkdtemp(dir));
	AUTO_FREE char *base = realpath(dir, NULL);
	AUTO_FREE char *link = mem_printf("%s/link", base), *dangling = mem_printf("%s/dangling", base);
	AUTO_FREE char *loop = mem_printf("%s/loop", base), *below = mem_printf("%s/link/new/x", base);
	AUTO_FREE char *sub = mem_printf("%s/made/deep", base), *want = mem_printf("%s/gone/deep", base);
	assert_int_equal(symlink("/usr", link), 0);
	assert_int_equal(symlink("gone/deep", dangling), 0);
	assert_int_equal(symlink("loop", loop), 0);
	assert_int_equal(path_canonical(below, &out), 0);
	assert_string_equal(out, "/usr/new/x");
	free(out);
	assert_int_equal(path_canonical(dangling, &out), 0);
	assert_string_equal(out, want);
	free(out);
	assert_int_equal(path_canonical(loop, &out), ELOOP);

	// Nothing that is opened goes through a link.
	AUTO_FD int refused = path_open_dir(link);
	assert_int_equal(refused, -1);
	AUTO_FREE char *through = mem_printf("%s/link/bin", base);
	AUTO_FD int refused_too = path_open_parent(through, &leaf);
	assert_int_equal(refused_too, -1);
	AUTO_FREE char *inside = mem_printf("%s/link/made", base);
	AUTO_FD int not_made = path_make_dirs(inside);
	assert_int_equal(not_made, -1);
	AUTO_FD int made = path_make_dirs(sub);
	assert_true(made >= 0);
	struct stat st;
	assert_int_equal(fstat(made, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_false(failed(file_remove_tree(dir, NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_resolve_and_join),
	        cmocka_unit_test(test_within),
	        cmocka_unit_test(test_canonical_and_opening),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

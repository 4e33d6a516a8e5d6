#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "unit/unit.h"

static void test_a_maximum_is_kept(void **state)
{
	AUTO_BUF struct buf b;

	(void)state;
	buf_init(&b, 5);
	assert_true(buf_add_str(&b, "abc"));
	assert_false(buf_add_str(&b, "def"));
	assert_string_equal(buf_str(&b), "abc");
	assert_true(buf_add_str(&b, "de"));
	assert_false(buf_add_str(&b, "f"));
	assert_true(buf_add_str(&b, ""));
	assert_null(buf_reserve(&b, 1));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_false(buf_printf(&b, "%d", 1));
	assert_string_equal(buf_str(&b), "abcde");
}

static void test_bytes_leave_at_the_head(void **state)
{
	AUTO_BUF struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (int i = 0; i < 10000; i++) {
		assert_true(buf_printf(&b, "%05d", i));
		if (i >= 100) {
			char expected[8];
			snprintf(expected, sizeof(expected), "%05d", i - 100);
			assert_true(span_is(span_head(buf_span(&b), 5), expected));
			buf_consume(&b, 5);
		}
	}
	assert_int_equal(buf_len(&b), 500);
	assert_true(b.cap <= 2001); // twice the maximum, so that it seldom needs to be moved
	buf_clear(&b);
	assert_int_equal(buf_len(&b), 0);
}

// A queue that stays long while it is eaten in small bites: each byte is moved about once, not once for each bite.
static void test_a_long_queue_is_seldom_moved(void **state)
{
	enum { BITE = 64, LONG = 1 << 20 };
	AUTO_BUF struct buf b;
	char bite[BITE] = {0};
	size_t moved = 0;

	(void)state;
	buf_init(&b, LONG);
	while (buf_add(&b, span_from(bite, BITE)))
		;
	for (int i = 0; i < 10 * LONG / BITE; i++) {
		size_t start = b.start, len = buf_len(&b);
		buf_consume(&b, BITE);
		assert_true(buf_add(&b, span_from(bite, BITE)));
		moved += b.start < start ? len : 0;
	}
	assert_in_range(moved, 1, 11 * LONG);
}

static void test_taking_the_memory(void **state)
{
	AUTO_BUF struct buf b;
	size_t n;

	(void)state;
	buf_init(&b, 100);
	assert_string_equal(buf_str(&b), "");
	char *empty = buf_take(&b, &n);
	assert_string_equal(empty, "");
	assert_int_equal(n, 0);
	free(empty);
	assert_true(buf_add(&b, SPAN_LIT("xyz\0w")));
	buf_consume(&b, 1);
	char *taken = buf_take(&b, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(taken, "yz\0w", 5);
	free(taken);
	assert_int_equal(buf_len(&b), 0);
	assert_true(buf_add_str(&b, "again"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_maximum_is_kept),
	        cmocka_unit_test(test_bytes_leave_at_the_head),
	        cmocka_unit_test(test_a_long_queue_is_seldom_moved),
	        cmocka_unit_test(test_taking_the_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

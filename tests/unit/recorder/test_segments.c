// The journal as it is written: turning from one segment to the other, never over what no checkpoint covers, and read back
// after every batch.
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "audit/logdir.h"
#include "base/file.h"
#include "base/mem.h"
#include "recorder/segments.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s", "/tmp/sp-segs-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
	(void)state;
	return failed(file_remove_tree(dir, NULL));
}

static struct segments *open_them(void)
{
	struct segments *s;
	struct err e;
	if (failed(segments_open(dir, JOURNAL_SEGMENT_MIN, &s, &e)))
		fail_msg("%s", e.msg);
	return s;
}

#define ENTRY_LEN 5000

static void write_batch(struct segments *s, uint64_t first, size_t n)
{
	static char text[64][ENTRY_LEN];
	struct segments_entry entries[64];
	for (size_t i = 0; i < n; i++) {
		memset(text[i], 'x', ENTRY_LEN);
		snprintf(text[i], ENTRY_LEN, "entry %llu", (unsigned long long)(first + i));
		entries[i].bytes = span_from(text[i], ENTRY_LEN);
	}
	assert_false(failed(segments_write(s, first, entries, n, NULL)));
	struct hash leaf = hash_leaf(entries[n - 1].bytes);
	assert_true(hash_eq(&leaf, &entries[n - 1].leaf));
}

static struct result each(void *arg, uint64_t index, struct span entry, const struct hash *leaf, struct err *e)
{
	char want[64];
	struct hash h = hash_leaf(entry);
	(void)arg;
	(void)e;
	snprintf(want, sizeof(want), "entry %llu", (unsigned long long)index);
	assert_string_equal(entry.data, want);
	assert_true(hash_eq(&h, leaf));
	return OK;
}

static struct logdir_tail read_from(uint64_t from)
{
	struct logdir_tail tail;
	assert_false(failed(logdir_journal(dir, from, each, NULL, &tail, NULL)));
	return tail;
}

static void test_turning(void **state)
{
	(void)state;
	struct segments *s = open_them();
	assert_false(failed(segments_begin(s, 1, 0, NULL)));
	uint64_t next = 0, published = 0;
	for (int i = 0; i < 60; i++) {
		size_t n = 1 + (size_t)i % 40;
		while (!segments_have_room(s, n, n * ENTRY_LEN, published)) {
			// Only a checkpoint makes room, and one that covers all but the newest segment is enough.
			assert_true(published < next);
			published = next;
		}
		write_batch(s, next, n);
		next += n;
		struct logdir_tail tail = read_from(published);
		assert_true(tail.next == next && !tail.gap && !tail.torn && tail.present);
	}
	assert_true(read_from(0).gap); // the first entries were written over, and that is seen
	uint64_t generation = read_from(published).generation;
	assert_true(generation > 3);
	segments_close(&s);

	s = open_them();
	assert_false(failed(segments_begin(s, generation + 1, next, NULL)));
	assert_int_equal(read_from(next).next, next);
	write_batch(s, next, 3);
	assert_int_equal(read_from(next).next, next + 3);
	segments_close(&s);
}

static void test_only_one_may_have_it(void **state)
{
	(void)state;
	struct segments *s = open_them(), *second;
	struct err e;
	assert_true(failed(segments_open(dir, JOURNAL_SEGMENT_MIN, &second, &e)));
	assert_int_equal(e.kind, ERR_CONFLICT);
	segments_close(&s);
	s = open_them();
	segments_close(&s);
}

static void test_a_segment_of_another_size_is_refused(void **state)
{
	(void)state;
	AUTO_FREE char *path = mem_printf("%s/journal/0", dir);
	struct segments *s;
	struct err e;
	assert_false(failed(file_write_atomic(path, SPAN_LIT("short"), 0600, NULL)));
	assert_true(failed(segments_open(dir, JOURNAL_SEGMENT_MIN, &s, &e)));
	assert_int_equal(e.kind, ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_turning),
	        cmocka_unit_test(test_only_one_may_have_it),
	        cmocka_unit_test(test_a_segment_of_another_size_is_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

// Reading a journal of two segments: which records count, and what is missing between them.
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "audit/journal.h"
#include "audit/logdir.h"
#include "base/file.h"
#include "base/mem.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s", "/tmp/sp-logdir-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
	(void)state;
	return failed(file_remove_tree(dir, NULL));
}

// A segment whose entries [first, end) say "MARK index".
static void write_segment(unsigned number, uint64_t generation, uint64_t first, uint64_t end, const char *mark)
{
	AUTO_FREE char *journal = mem_printf("%s/journal", dir), *path = mem_printf("%s/%u", journal, number);
	struct journal_header h = {.generation = generation, .first = first, .salt = {{(unsigned char)generation}}};
	unsigned char page[JOURNAL_HEADER];
	AUTO_BUF struct buf b;
	buf_init(&b, JOURNAL_SEGMENT_MIN);
	journal_header_write(&h, page);
	assert_true(buf_add(&b, span_from((const char *)page, sizeof(page))));
	for (uint64_t i = first; i < end; i++) {
		AUTO_FREE char *text = mem_printf("%s %llu", mark, (unsigned long long)i);
		struct hash leaf = hash_leaf(span_of(text));
		assert_true(journal_record_write(&b, &h.salt, i, span_of(text), &leaf));
	}
	assert_false(failed(file_mkdirs(journal, 0700, NULL)));
	assert_false(failed(file_write_atomic(path, buf_span(&b), 0600, NULL)));
}

struct seen {
	char text[512];
};

static struct result note(void *arg, uint64_t index, struct span entry, const struct hash *leaf, struct err *e)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);
	(void)index;
	(void)leaf;
	(void)e;
	snprintf(s->text + n, sizeof(s->text) - n, "%.*s;", SPAN_FMT(entry));
	return OK;
}

static struct logdir_tail read_from(uint64_t from, struct seen *s)
{
	struct logdir_tail tail;
	*s = (struct seen){0};
	assert_false(failed(logdir_journal(dir, from, note, s, &tail, NULL)));
	return tail;
}

// A write that fails may have put its records on disk whole. They were refused, and the next write went to the other segment.
static void test_what_was_refused_does_not_hide_what_came_in_its_place(void **state)
{
	(void)state;
	struct seen s;
	write_segment(1, 7, 3, 8, "refused");
	write_segment(0, 8, 5, 9, "stored");
	struct logdir_tail tail = read_from(3, &s);
	assert_string_equal(s.text, "refused 3;refused 4;stored 5;stored 6;stored 7;stored 8;");
	assert_true(tail.next == 9 && !tail.gap && tail.generation == 8);
	tail = read_from(6, &s);
	assert_string_equal(s.text, "stored 6;stored 7;stored 8;");
}

static void test_what_is_missing_between_segments_is_told(void **state)
{
	(void)state;
	struct seen s;
	write_segment(0, 7, 3, 6, "older");
	write_segment(1, 8, 8, 10, "newer");
	struct logdir_tail tail = read_from(3, &s);
	assert_string_equal(s.text, "older 3;older 4;older 5;");
	assert_true(tail.gap && tail.next == 6);
	assert_true(read_from(0, &s).gap);
	tail = read_from(8, &s);
	assert_string_equal(s.text, "newer 8;newer 9;");
	assert_true(!tail.gap && tail.next == 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_was_refused_does_not_hide_what_came_in_its_place),
	        cmocka_unit_test(test_what_is_missing_between_segments_is_told),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

// The journal's format: what was written is read back, whatever is cut, bent or left over from before ends it.
#include "unit/unit.h"

#include <stdio.h>

#include "audit/journal.h"
#include "base/mem.h"

#define N 20

static const char *text_of(unsigned i)
{
	static char text[64];
	snprintf(text, sizeof(text), "entry %u %.*s", i, (int)(i % 7), "xxxxxxx");
	return text;
}

// A segment with entries from index `first` on; *ends gets where each record ends.
static struct buf segment(uint64_t generation, uint64_t first, unsigned n, size_t *ends)
{
	struct buf b;
	unsigned char page[JOURNAL_HEADER];
	struct journal_header h = {.generation = generation, .first = first, .salt = {{(unsigned char)generation, 7, 7}}};
	buf_init(&b, 1 << 20);
	journal_header_write(&h, page);
	assert_true(buf_add(&b, span_from((const char *)page, sizeof(page))));
	for (unsigned i = 0; i < n; i++) {
		struct span entry = span_of(text_of(i));
		struct hash leaf = hash_leaf(entry);
		assert_true(journal_record_write(&b, &h.salt, first + i, entry, &leaf));
		if (ends != NULL)
			ends[i] = buf_len(&b);
	}
	return b;
}

static unsigned count(struct span bytes, bool *torn)
{
	struct journal_header h;
	struct journal_reader r;
	struct span entry;
	struct hash leaf;
	unsigned n = 0;
	*torn = false;
	if (!journal_header_read(bytes, &h))
		return 0;
	journal_reader_init(&r, bytes, &h);
	while (journal_reader_next(&r, &entry, &leaf, torn)) {
		struct hash want = hash_leaf(entry);
		assert_true(hash_eq(&leaf, &want));
		assert_true(span_is(entry, text_of(n)));
		n++;
	}
	return n;
}

static void test_round_trip(void **state)
{
	(void)state;
	struct buf b = segment(3, 500, N, NULL);
	struct journal_header h;
	bool torn;
	assert_true(journal_header_read(buf_span(&b), &h));
	assert_int_equal(h.generation, 3);
	assert_int_equal(h.first, 500);
	assert_int_equal(count(buf_span(&b), &torn), N);
	assert_false(torn);
	buf_fini(&b);
}

static void test_cut_at_every_byte(void **state)
{
	(void)state;
	size_t ends[N];
	struct buf b = segment(1, 0, N, ends);
	AUTO_FREE char *zeroed = mem_zero(buf_len(&b));
	for (size_t n = 0; n < buf_len(&b); n++) {
		bool torn;
		unsigned whole = 0;
		while (whole < N && ends[whole] <= n)
			whole++;
		whole = n < JOURNAL_HEADER ? 0 : whole;
		assert_int_equal(count(span_head(buf_span(&b), n), &torn), whole);
		// On disk the rest is zeros: the same entries, and a record that was begun is told.
		memset(zeroed, 0, buf_len(&b));
		memcpy(zeroed, buf_span(&b).data, n);
		assert_int_equal(count(span_from(zeroed, buf_len(&b)), &torn), whole);
		size_t begin = whole == 0 ? JOURNAL_HEADER : ends[whole - 1];
		if (n >= JOURNAL_HEADER)
			assert_int_equal(torn, n >= begin + 16 || (whole == 0 && n >= begin + 4));
	}
	buf_fini(&b);
}

static void test_every_bit_counts(void **state)
{
	(void)state;
	size_t ends[4];
	struct buf b = segment(1, 0, 4, ends);
	AUTO_FREE char *bytes = mem_alloc(buf_len(&b));
	memcpy(bytes, buf_span(&b).data, buf_len(&b));
	for (size_t i = 0; i < buf_len(&b); i++) {
		if (i >= 40 + HASH_LEN && i < JOURNAL_HEADER)
			continue; // the header page's unused rest
		for (int bit = 0; bit < 8; bit++) {
			bool torn;
			unsigned whole = 0;
			bytes[i] = (char)(bytes[i] ^ 1 << bit);
			while (whole < 4 && ends[whole] <= i)
				whole++;
			assert_int_equal(count(span_from(bytes, buf_len(&b)), &torn), i < JOURNAL_HEADER ? 0 : whole);
			bytes[i] = (char)(bytes[i] ^ 1 << bit);
		}
	}
	buf_fini(&b);
}

// A segment that is used again: what stood there before, even at fitting places, is not taken for what follows.
static void test_what_stood_there_before_is_not_read(void **state)
{
	(void)state;
	size_t ends[N];
	struct buf old = segment(1, 0, N, NULL), new = segment(3, 0, N, ends);
	AUTO_FREE char *bytes = mem_alloc(buf_len(&old));
	for (unsigned n = 0; n < N; n++) {
		size_t upto = n == 0 ? JOURNAL_HEADER : ends[n - 1];
		bool torn;
		memcpy(bytes, buf_span(&old).data, buf_len(&old));
		memcpy(bytes, buf_span(&new).data, upto);
		assert_int_equal(count(span_from(bytes, buf_len(&old)), &torn), n);
	}
	buf_fini(&old);
	buf_fini(&new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_round_trip),
	        cmocka_unit_test(test_cut_at_every_byte),
	        cmocka_unit_test(test_every_bit_counts),
	        cmocka_unit_test(test_what_stood_there_before_is_not_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// What entries say about each other: numbers, hashes and pairs that do not fit are found, and nothing else is.
#include "unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "audit/chain.h"
#include "base/mem.h"

struct log {
	struct chain chain;
	struct findings found;
	uint64_t index;
	uint64_t seq;
	struct hash last;
};

static void begin(struct log *l)
{
	*l = (struct log){0};
	chain_init(&l->chain);
}

static void end(struct log *l)
{
	chain_fini(&l->chain);
	findings_fini(&l->found);
}

// Adds an entry of one writer, numbered `seq` and chained to `prev` (NULL: none).
static void add_as(struct log *l, const struct audit_entry *a, uint64_t seq, const struct hash *prev, bool doubtful)
{
	struct entry_stamp s = {
	        .writer = "worker@0", .role = "worker", .boot_id = "b", .seq = seq, .prev = prev, .time_ms = 1000};
	struct buf b;
	buf_init(&b, ENTRY_MAX);
	assert_false(failed(entry_write(a, &s, &b, NULL)));
	chain_add(&l->chain, l->index++, buf_span(&b), doubtful, &l->found);
	l->seq = seq;
	l->last = hash_sha256(buf_span(&b));
	buf_fini(&b);
}

static void add(struct log *l, enum audit_phase phase, const char *uid, const char *pair)
{
	const struct audit_entry a = {
	        .phase = phase, .uid = span_of(uid), .pair = span_of(pair), .operation = SPAN_LIT("tool_call")};
	struct hash prev = l->last;
	add_as(l, &a, l->seq + 1, l->seq == 0 ? NULL : &prev, false);
}

static void assert_found(struct log *l, uint64_t index, const char *what)
{
	assert_int_equal(l->found.total, 1);
	assert_int_equal(l->found.list[0].index, index);
	assert_non_null(strstr(l->found.list[0].text, what));
}

static void test_a_good_log(void **state)
{
	(void)state;
	struct log l;
	begin(&l);
	for (int i = 0; i < 50; i++) {
		char intent[32], outcome[32];
		snprintf(intent, sizeof(intent), "c%d.intent", i);
		snprintf(outcome, sizeof(outcome), "c%d.outcome", i);
		add(&l, AUDIT_INTENT, intent, "");
		if (i % 10 != 0)
			add(&l, AUDIT_OUTCOME, outcome, intent);
	}
	chain_sort_open(&l.chain);
	assert_int_equal(l.found.total, 0);
	assert_int_equal(l.chain.n_open, 5);
	for (size_t i = 0; i < 5; i++) {
		char want[32];
		snprintf(want, sizeof(want), "c%zu.intent", i * 10);
		assert_string_equal(l.chain.open[i].uid, want);
	}
	end(&l);
}

static const struct audit_entry plain = {.phase = AUDIT_ADMIN, .uid = {"u", 1}, .operation = {"o", 1}};

static void test_gaps_and_wrong_hashes(void **state)
{
	(void)state;
	struct log l;
	struct hash other = hash_sha256(SPAN_LIT("other"));
	begin(&l);
	add_as(&l, &plain, 2, &other, false); // a first entry that is not the first
	assert_found(&l, 0, "number 2 follows 0");
	end(&l);

	begin(&l);
	add(&l, AUDIT_ADMIN, "a", "");
	add_as(&l, &plain, 2, &other, false);
	assert_found(&l, 1, "is not the one that this entry's prev names");
	end(&l);

	begin(&l);
	add(&l, AUDIT_ADMIN, "a", "");
	struct hash prev = l.last;
	add_as(&l, &plain, 3, &prev, false);
	assert_found(&l, 1, "number 3 follows 1");
	end(&l);
}

static void test_pairs(void **state)
{
	(void)state;
	struct log l;
	begin(&l);
	add(&l, AUDIT_OUTCOME, "c.outcome", "c.intent");
	assert_found(&l, 0, "is not open before it");
	end(&l);

	begin(&l);
	add(&l, AUDIT_INTENT, "c.intent", "");
	add(&l, AUDIT_OUTCOME, "c.outcome", "c.intent");
	add(&l, AUDIT_OUTCOME, "c.again", "c.intent");
	assert_found(&l, 2, "is not open before it");
	end(&l);

	begin(&l);
	const struct audit_entry denied = {.phase = AUDIT_INTENT, .uid = {"d", 1}, .operation = {"o", 1}, .denied = true};
	add_as(&l, &denied, 1, NULL, false);
	assert_true(l.found.total == 0 && l.chain.n_open == 0); // what was refused has no outcome
	end(&l);
}

// An entry that is known to be wrong speaks against nobody after it.
static void test_doubtful_entries(void **state)
{
	(void)state;
	struct log l;
	begin(&l);
	add(&l, AUDIT_ADMIN, "a", "");
	struct hash before = l.last;
	add_as(&l, &plain, 2, &before, true);
	struct hash wrong = hash_sha256(SPAN_LIT("as it was signed"));
	add_as(&l, &plain, 3, &wrong, false);
	add(&l, AUDIT_OUTCOME, "c.outcome", "c.intent");
	assert_int_equal(l.found.total, 0);
	chain_add(&l.chain, 9, SPAN_LIT("not JSON at all"), true, &l.found);
	assert_int_equal(l.found.total, 0);
	chain_add(&l.chain, 10, SPAN_LIT("not JSON at all"), false, &l.found);
	assert_found(&l, 10, "not an entry");
	end(&l);
}

static void test_canonical_form(void **state)
{
	(void)state;
	struct log l;
	struct entry_stamp s = {.writer = "worker@0", .role = "worker", .boot_id = "b", .seq = 1};
	struct buf b;
	begin(&l);
	buf_init(&b, ENTRY_MAX + 1);
	assert_false(failed(entry_write(&plain, &s, &b, NULL)));
	assert_true(buf_add_str(&b, " "));
	chain_add(&l.chain, 0, buf_span(&b), false, &l.found);
	assert_found(&l, 0, "canonical");
	buf_fini(&b);
	end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_good_log),     cmocka_unit_test(test_gaps_and_wrong_hashes),
	        cmocka_unit_test(test_pairs),          cmocka_unit_test(test_doubtful_entries),
	        cmocka_unit_test(test_canonical_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

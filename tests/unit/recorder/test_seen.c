// What was handed in lately: found once, forgotten in order, taken back when a write failed.
#include "unit/unit.h"

#include <stdio.h>

#include "recorder/seen.h"

static struct span uid(uint64_t i)
{
	static char text[32];
	return span_from(text, (size_t)snprintf(text, sizeof(text), "uid %llu", (unsigned long long)i));
}

static void test_window(void **state)
{
	(void)state;
	struct seen s;
	seen_init(&s);
	for (uint64_t i = 0; i < SEEN_MAX + 1000; i++)
		seen_add(&s, SPAN_LIT("w"), uid(i), i, i * 7);
	assert_null(seen_find(&s, SPAN_LIT("w"), uid(999)));
	assert_null(seen_find(&s, SPAN_LIT("another"), uid(5000)));
	for (uint64_t i = 1000; i < SEEN_MAX + 1000; i++) {
		const struct seen_entry *e = seen_find(&s, SPAN_LIT("w"), uid(i));
		assert_non_null(e);
		assert_true(e->index == i && e->fingerprint == i * 7);
	}
	seen_fini(&s);
}

static void test_taking_back(void **state)
{
	(void)state;
	struct seen s;
	seen_init(&s);
	uint64_t n = SEEN_MAX + 500;
	for (uint64_t i = 0; i < n; i++)
		seen_add(&s, SPAN_LIT("w"), uid(i), i, 0);
	seen_take_back(&s, n - 200);
	assert_null(seen_find(&s, SPAN_LIT("w"), uid(n - 1)));
	assert_null(seen_find(&s, SPAN_LIT("w"), uid(n - 200)));
	assert_non_null(seen_find(&s, SPAN_LIT("w"), uid(n - 201)));
	for (uint64_t i = n - 200; i < n + 100; i++)
		seen_add(&s, SPAN_LIT("w"), uid(i), i, 1);
	assert_non_null(seen_find(&s, SPAN_LIT("w"), uid(n + 99)));
	assert_int_equal(seen_find(&s, SPAN_LIT("w"), uid(n - 200))->fingerprint, 1);
	seen_take_back(&s, 0); // all of it, also what was taken back before
	assert_null(seen_find(&s, SPAN_LIT("w"), uid(n)));
	seen_fini(&s);
}

static void test_fingerprints_tell_contents_apart(void **state)
{
	(void)state;
	struct entry_stamp stamp = {.writer = "worker@0"};
	struct audit_entry a = {.uid = SPAN_LIT("u"), .operation = SPAN_LIT("ab"), .object = SPAN_LIT("c")}, b = a;
	uint64_t f = seen_fingerprint(&a, &stamp);
	b.operation = SPAN_LIT("a"), b.object = SPAN_LIT("bc");
	assert_true(seen_fingerprint(&b, &stamp) != f);
	b = a, b.denied = true;
	assert_true(seen_fingerprint(&b, &stamp) != f);
	stamp.arguments.len = 1;
	assert_true(seen_fingerprint(&a, &stamp) != f);
}

// The fingerprint of an entry that was read back is that of the one that was handed in.
static void test_fingerprint_survives_the_log(void **state)
{
	(void)state;
	static const struct audit_entry cases[] = {
	        {.phase = AUDIT_INTENT, .uid = {"u", 1}, .operation = {"o", 1}, .object = {"x", 1}},
	        {.phase = AUDIT_INTENT, .uid = {"u", 1}, .operation = {"o", 1}, .denied = true},
	        {.phase = AUDIT_INTENT, .uid = {"u", 1}, .operation = {"o", 1}, .failed = true},
	        {.phase = AUDIT_OUTCOME, .uid = {"u", 1}, .operation = {"o", 1}, .pair = {"p", 1}, .failed = true},
	        {.phase = AUDIT_OUTCOME, .uid = {"u", 1}, .operation = {"o", 1}, .denied = true, .failed = true},
	        {.phase = AUDIT_ADMIN,
	         .uid = {"u", 1},
	         .operation = {"key.create", 10},
	         .session = {"s", 1},
	         .agent = {"a", 1}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct entry_stamp stamp = {.writer = "w@0", .role = "w", .boot_id = "b", .seq = 1, .arguments = {.len = 5}};
		struct buf b;
		struct entry e;
		buf_init(&b, ENTRY_MAX);
		assert_false(failed(entry_write(&cases[i], &stamp, &b, NULL)));
		assert_false(failed(entry_read(buf_span(&b), &e, NULL)));
		assert_true(seen_fingerprint(&cases[i], &stamp) == seen_fingerprint_of(&e));
		entry_fini(&e);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_window),
	        cmocka_unit_test(test_taking_back),
	        cmocka_unit_test(test_fingerprints_tell_contents_apart),
	        cmocka_unit_test(test_fingerprint_survives_the_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// The map of identifiers against a plain table, through many random puts and removals.
#include "unit/unit.h"

#include <stdio.h>

#include "audit/idmap.h"
#include "base/mem.h"

#define IDS 500

static struct span id_of(unsigned i)
{
	static char text[16];
	return span_from(text, (size_t)snprintf(text, sizeof(text), "id %u", i));
}

static void test_against_a_table(void **state)
{
	(void)state;
	struct idmap m;
	uint64_t table[IDS] = {0}; // 0: absent
	unsigned random = 1, present = 0;
	idmap_init(&m);
	for (unsigned step = 1; step < 40000; step++) {
		random = random * 1103515245 + 12345;
		unsigned i = (random >> 8) % IDS;
		struct idmap_key key = idmap_key(&m, SPAN_LIT("w"), id_of(i));
		if ((random >> 20 & 3) == 0) {
			assert_int_equal(idmap_remove(&m, key), table[i] != 0);
			present -= table[i] != 0;
			table[i] = 0;
		} else {
			idmap_put(&m, key, step);
			present += table[i] == 0;
			table[i] = step;
		}
		assert_int_equal(m.n, present);
		if (step % 100 != 0)
			continue;
		for (unsigned k = 0; k < IDS; k++) {
			const uint64_t *found = idmap_find(&m, idmap_key(&m, SPAN_LIT("w"), id_of(k)));
			assert_int_equal(found == NULL ? 0 : *found, table[k]);
		}
	}
	idmap_fini(&m);
}

static void test_two_maps_salt_differently(void **state)
{
	(void)state;
	struct idmap a, b;
	idmap_init(&a);
	idmap_init(&b);
	assert_true(idmap_key(&a, SPAN_LIT("w"), SPAN_LIT("x")).a != idmap_key(&a, SPAN_LIT("v"), SPAN_LIT("x")).a);
	assert_true(idmap_key(&a, SPAN_LIT("w"), SPAN_LIT("x")).a != idmap_key(&b, SPAN_LIT("w"), SPAN_LIT("x")).a);
	idmap_fini(&a);
	idmap_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_against_a_table),
	        cmocka_unit_test(test_two_maps_salt_differently),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

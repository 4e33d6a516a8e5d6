#include <string.h>

#include "base/random.h"
#include "base/span.h"
#include "unit/unit.h"

static void test_ids_sort_in_their_order(void **state)
{
	char last[ID_MAX] = "", id[ID_MAX];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		id_make(id, "sevt");
		assert_int_equal(strlen(id), 31);
		assert_true(strcmp(last, id) < 0);
		memcpy(last, id, sizeof(last));
	}
	assert_true(span_starts(span_of(id), "sevt_0"));
	assert_int_equal(strspn(id + 5, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
}

static void test_bounds(void **state)
{
	unsigned seen[10] = {0};

	(void)state;
	assert_int_equal(random_below(1), 0);
	for (int i = 0; i < 10000; i++)
		seen[random_below(10)]++;
	for (int i = 0; i < 10; i++)
		assert_in_range(seen[i], 700, 1300); // 1000 and ten standard deviations
	assert_true(random_below(UINT64_MAX) < UINT64_MAX);
}

static void test_secrets(void **state)
{
	char a[SECRET_MAX], b[SECRET_MAX];

	(void)state;
	secret_make(a, "sp-api");
	secret_make(b, "sp-api");
	assert_int_equal(strlen(a), 7 + 43);
	assert_true(strncmp(a, "sp-api-", 7) == 0);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ids_sort_in_their_order),
	        cmocka_unit_test(test_bounds),
	        cmocka_unit_test(test_secrets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

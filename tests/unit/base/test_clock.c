#include "base/clock.h"
#include "unit/unit.h"

static struct err e;

static void test_formatting(void **state)
{
	char out[CLOCK_RFC3339_LEN];

	(void)state;
	clock_format(0, out);
	assert_string_equal(out, "1970-01-01T00:00:00.000000Z");
	clock_format(-1, out);
	assert_string_equal(out, "1969-12-31T23:59:59.999999Z");
	clock_format(1795510800123456, out);
	assert_string_equal(out, "2026-11-24T09:00:00.123456Z");
}

static void test_parsing(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {
	        {"2026-11-24T09:00:00Z", 1795510800000000},
	        {"2026-11-24t09:00:00.123456z", 1795510800123456},
	        {"2026-11-24T10:30:00.1+01:30", 1795510800100000},
	        {"2026-11-24T00:00:00.123456789-09:00", 1795510800123456},
	        {"1970-01-01T00:00:00Z", 0},
	        {"2024-02-29T00:00:00Z", 1709164800000000},
	};
	static const char *const bad[] = {"",
	                                  "2026-11-24",
	                                  "2026-11-24T09:00:00",
	                                  "2026-13-01T00:00:00Z",
	                                  "2026-02-29T00:00:00Z",
	                                  "2026-04-31T00:00:00Z",
	                                  "2026-11-24T24:00:00Z",
	                                  "2026-11-24T09:60:00Z",
	                                  "2026-11-24T09:00:00.Z",
	                                  "2026-11-24T09:00:00.1234567890Z",
	                                  "2026-11-24T09:00:00+1:00",
	                                  "2026-11-24T09:00:00Zx",
	                                  "+026-11-24T09:00:00Z",
	                                  "2026-11-24T09:00:00+24:00"};
	int64_t us;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_false(failed(clock_parse(span_of(good[i].text), &us, &e)));
		assert_true(us == good[i].us);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(failed(clock_parse(span_of(bad[i]), &us, &e)));
}

static void test_monotonic(void **state)
{
	uint64_t before = clock_mono_us();

	(void)state;
	assert_true(clock_mono_us() >= before);
	assert_true(clock_utc_us() > 1700000000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_formatting),
	        cmocka_unit_test(test_parsing),
	        cmocka_unit_test(test_monotonic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// What can be said of a call without asking anybody.
#include "worker/exposure.h"

#include "base/clock.h"
#include "unit/unit.h"

#define EARLIER SPAN_LIT("2026-11-24T09:00:00.000000Z")
#define LATER SPAN_LIT("2026-11-24T09:00:02.5+00:00")

static int64_t began(void)
{
	int64_t us;
	assert_false(failed(clock_parse(SPAN_LIT("2026-11-24T09:00:01Z"), &us, NULL)));
	return us;
}

static enum exposed ask(bool counted, bool started, struct span at, int64_t began_us)
{
	const char *why = NULL;
	const struct exposure_opts opts = {
	        .item = "work_1", .session = "sesn_1", .counted = counted, .started_before = started};
	struct exposure *x = exposure_new(&opts);
	enum exposed e = exposure_of(x, at, began_us, &why);
	assert_true(e != EXPOSED_YES || why != NULL);
	exposure_free(x);
	return e;
}

static void control_that_counts(void **state)
{
	(void)state;
	assert_int_equal(ask(true, true, EARLIER, 0), EXPOSED_NO);
	assert_int_equal(ask(true, false, (struct span){0}, began()), EXPOSED_NO);
}

static void control_that_does_not(void **state)
{
	(void)state;
	assert_int_equal(ask(false, true, LATER, began()), EXPOSED_NO); // it came up under our own lease
	assert_int_equal(ask(false, true, EARLIER, began()), EXPOSED_YES);
	assert_int_equal(ask(false, false, EARLIER, began()), EXPOSED_UNREAD);
	// A time that can't be read proves nothing.
	assert_int_equal(ask(false, true, (struct span){0}, began()), EXPOSED_YES);
	assert_int_equal(ask(false, true, SPAN_LIT("tomorrow"), began()), EXPOSED_YES);
	assert_int_equal(ask(false, true, LATER, 0), EXPOSED_YES);
	assert_int_equal(ask(false, false, LATER, 0), EXPOSED_UNREAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(control_that_counts), cmocka_unit_test(control_that_does_not)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

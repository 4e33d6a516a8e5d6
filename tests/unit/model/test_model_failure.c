#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model_failure.h"

static void status(int status, const char *body, const char *after, bool retry, const char *type, uint64_t ms)
{
	struct model_failure f;
	model_failure_status(&f, status, span_of(body), after);
	assert_int_equal(f.retry, retry);
	assert_string_equal(f.type, type);
	assert_int_equal(f.retry_after_ms, ms);
}

static void statuses_are_told_apart(void **state)
{
	(void)state;
	const char failed[] = "model_request_failed_error";
	status(429, "{}", "2", true, "model_rate_limited_error", 2000);
	status(429, "", "soon", true, "model_rate_limited_error", 0);
	status(429, "", "99999", true, "model_rate_limited_error", 300000);
	status(529, "not json", NULL, true, "model_overloaded_error", 0);
	status(500, "{}", NULL, true, failed, 0);
	status(503, "{\"error\":{\"type\":\"overloaded_error\"}}", NULL, true, "model_overloaded_error", 0);
	status(408, "", NULL, true, failed, 0);
	status(409, "", NULL, true, failed, 0);
	status(400, "{\"error\":{\"type\":\"billing_error\",\"message\":\"m\"}}", NULL, false, "billing_error", 0);
	status(402, "", NULL, false, "billing_error", 0);
	static const int final[] = {301, 400, 401, 403, 404, 413, 422};
	for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++)
		status(final[i], "{}", NULL, false, failed, 0);
}

static void error_events_are_told_apart(void **state)
{
	(void)state;
	struct model_failure f;
	model_failure_event(&f, SPAN_LIT("overloaded_error"), SPAN_LIT("m"));
	assert_true(f.retry);
	assert_string_equal(f.type, "model_overloaded_error");
	model_failure_event(&f, SPAN_LIT("invalid_request_error"), SPAN_LIT("m"));
	assert_false(f.retry);
	model_failure_event(&f, SPAN_LIT(""), SPAN_LIT(""));
	assert_true(f.retry);
}

static void the_wait_grows_and_keeps_to_what_was_asked(void **state)
{
	(void)state;
	struct model_failure f;
	model_failure_transport(&f, "cut");
	assert_true(f.retry);
	assert_int_equal(model_failure_backoff_ms(&f, 1, 0), 500);
	assert_int_equal(model_failure_backoff_ms(&f, 1, 125), 375);
	assert_int_equal(model_failure_backoff_ms(&f, 3, 0), 2000);
	assert_int_equal(model_failure_backoff_ms(&f, 4000000000u, 0), 30000);
	f.retry_after_ms = 60000;
	assert_int_equal(model_failure_backoff_ms(&f, 2, 5), 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(statuses_are_told_apart),
	        cmocka_unit_test(error_events_are_told_apart),
	        cmocka_unit_test(the_wait_grows_and_keeps_to_what_was_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

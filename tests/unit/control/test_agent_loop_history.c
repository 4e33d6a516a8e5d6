#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/agent_loop_history.h"

// u: a user's message, r: a result, s: a request's start, x: its failed end, e: its good end, a: the agent's message, i: idle.
static void tells(const char *log, unsigned failures, unsigned requests)
{
	struct event_view views[30];
	size_t n = 0;
	for (; log[n] != '\0'; n++) {
		static const char *const types[128] = {
		        ['u'] = "user.message",           ['r'] = "user.tool_result",       ['s'] = "span.model_request_start",
		        ['x'] = "span.model_request_end", ['e'] = "span.model_request_end", ['a'] = "agent.message",
		        ['i'] = "session.status_idle",
		};
		views[n] = (struct event_view){.type = span_of(types[(unsigned char)log[n]]),
		                               .json = log[n] == 'x' ? SPAN_LIT("{\"is_error\":true}") : SPAN_LIT("{}")};
	}
	struct agent_loop_history h = agent_loop_history(views, n);
	assert_int_equal(h.failures, failures);
	assert_int_equal(h.requests, requests);
}

static void failures_in_a_row_and_requests_are_counted(void **state)
{
	(void)state;
	tells("", 0, 0);
	tells("us", 0, 1);
	tells("usxsx", 2, 2);
	tells("usxsae", 0, 2);
	tells("usxsxi", 0, 2);
	tells("usaersaersx", 1, 3);
	tells("usxsxusx", 1, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(failures_in_a_row_and_requests_are_counted)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

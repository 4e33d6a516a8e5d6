// What clients send as events: each wrong shape is refused by an error that names the place.
#include "unit/unit.h"

#include "control/event_params.h"

static struct result check(const char *text, struct err *e)
{
	AUTO_JSON json_t *body = NULL;
	json_t *events;
	struct err parse;
	if (failed(json_parse_object(span_of(text), "test", &body, &parse)))
		fail_msg("%s: %s", text, parse.msg);
	return event_params_check_all(body, "events", 3, &events, e);
}

static void good_ones(void **state)
{
	(void)state;
	const char *good[] = {
	        "{\"events\":[{\"type\":\"user.message\",\"content\":[{\"type\":\"text\",\"text\":\"\"}]}]}",
	        "{\"events\":[{\"type\":\"user.message\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":"
	        "\"u\"}},"
	        "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/"
	        "plain\",\"data\":\"d\"},\"title\":\"t\"},"
	        "{\"type\":\"redacted\"}]}]}",
	        "{\"events\":[{\"type\":\"user.interrupt\"},{\"type\":\"user.interrupt\",\"session_thread_id\":null}]}",
	        "{\"events\":[{\"type\":\"user.tool_confirmation\",\"tool_use_id\":\"a\",\"result\":\"allow\"}]}",
	        "{\"events\":[{\"type\":\"user.tool_confirmation\",\"tool_use_id\":\"a\",\"result\":\"deny\",\"deny_message\":"
	        "\"m\"}]}",
	        "{\"events\":[{\"type\":\"user.tool_result\",\"tool_use_id\":\"a\"}]}",
	        "{\"events\":[{\"type\":\"user.tool_result\",\"tool_use_id\":\"a\",\"content\":null,\"is_error\":null}]}",
	        "{\"events\":[{\"type\":\"user.custom_tool_result\",\"custom_tool_use_id\":\"a\",\"content\":[{\"type\":"
	        "\"search_result\","
	        "\"source\":\"s\",\"title\":\"t\",\"content\":[]}]}]}",
	        "{\"events\":[{\"type\":\"user.message\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]},"
	        "{\"type\":\"system.message\",\"content\":[{\"type\":\"text\",\"text\":\"y\"}]}]}",
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct err e;
		if (failed(check(good[i], &e)))
			fail_msg("%s: %s", good[i], e.msg);
	}
}

static void bad_ones(void **state)
{
	(void)state;
	static const struct {
		const char *text, *where;
	} bad[] = {
	        {"{}", "events"},
	        {"{\"events\":7}", "events"},
	        {"{\"events\":[]}", "1 to 3"},
	        {"{\"events\":[{},{},{},{}]}", "1 to 3"},
	        {"{\"events\":[null]}", "events[0]"},
	        {"{\"events\":[{\"type\":7}]}", "events[0].type"},
	        {"{\"events\":[{\"type\":\"agent.tool_use\"}]}", "events[0].type"},
	        {"{\"events\":[{\"type\":\"user.define_outcome\"}]}", "not supported"},
	        {"{\"events\":[{\"type\":\"user.interrupt\",\"x\":1}]}", "events[0].x"},
	        {"{\"events\":[{\"type\":\"user.interrupt\"},{\"type\":\"user.message\",\"content\":[7]}]}",
	         "events[1].content[0]"},
	        {"{\"events\":[{\"type\":\"user.message\",\"content\":[{\"type\":\"search_result\"}]}]}",
	         "events[0].content[0].type"},
	        {"{\"events\":[{\"type\":\"user.tool_result\",\"tool_use_id\":7}]}", "events[0].tool_use_id"},
	        {"{\"events\":[{\"type\":\"user.tool_result\",\"tool_use_id\":\"a\",\"is_error\":\"no\"}]}",
	         "events[0].is_error"},
	        {"{\"events\":[{\"type\":\"user.tool_result\",\"tool_use_id\":\"a\",\"content\":{}}]}", "events[0].content"},
	        {"{\"events\":[{\"type\":\"user.tool_result\",\"custom_tool_use_id\":\"a\"}]}", "custom_tool_use_id"},
	        {"{\"events\":[{\"type\":\"system.message\",\"content\":[{\"type\":\"image\"}]}]}", "events[0].content[0]"},
	        {"{\"events\":[{\"type\":\"user.message\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"text\"}}]}]}",
	         "source.type"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e = {0};
		if (!failed(check(bad[i].text, &e)))
			fail_msg("%s was taken", bad[i].text);
		assert_int_equal(e.kind, ERR_INVALID);
		if (strstr(e.msg, bad[i].where) == NULL)
			fail_msg("%s: %s names not %s", bad[i].text, e.msg, bad[i].where);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good_ones), cmocka_unit_test(bad_ones)};
	return cmocka_run_group_tests_name("event_params", tests, NULL, NULL);
}

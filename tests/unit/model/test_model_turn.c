#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/model_turn.h"

static const char agent[] = "{\"system\":\"Be brief.\",\"tools\":[]}";

static struct result make(struct model_turn_event *events, size_t n, struct buf *out, struct err *e)
{
	struct model_turn_opts o = {
	        .agent = SPAN_LIT(agent), .events = events, .n_events = n, .model = SPAN_LIT("m-1"), .max_tokens = 100};
	return model_turn_request(&o, out, e);
}

// The request's messages for these events, given as JSON texts; NULL ends them.
static void gives(const char *want, ...)
{
	struct model_turn_event events[20];
	size_t n = 0;
	va_list ap;
	va_start(ap, want);
	for (const char *s; (s = va_arg(ap, const char *)) != NULL;)
		events[n++] = (struct model_turn_event){.json = span_of(s)};
	va_end(ap);
	struct buf AUTO_BUF out;
	struct err e = {0};
	buf_init(&out, 10000);
	if (failed(make(events, n, &out, &e)))
		print_message("%s\n", e.msg);
	json_t *AUTO_JSON j = NULL;
	assert_false(failed(json_parse_object(buf_span(&out), "request", &j, &e)));
	char *AUTO_FREE got = json_text(json_object_get(j, "messages"), NULL);
	assert_string_equal(got, want);
}

#define MESSAGE(who, t) "{\"type\":\"" who ".message\",\"content\":[{\"type\":\"text\",\"text\":\"" t "\"}]}"
#define CALL(id) "{\"type\":\"agent.tool_use\",\"id\":\"" id "\",\"name\":\"bash\",\"input\":{\"a\":1}}"
#define CUSTOM(id) "{\"type\":\"agent.custom_tool_use\",\"id\":\"" id "\",\"name\":\"own\",\"input\":{}}"
#define RESULT(id, t) \
	"{\"type\":\"user.tool_result\",\"tool_use_id\":\"" id "\",\"content\":[{\"type\":\"text\",\"text\":\"" t "\"}]}"

static void a_conversation_becomes_messages(void **state)
{
	(void)state;
	gives("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"go\"}]}]", MESSAGE("user", "go"),
	      "{\"type\":\"session.status_running\"}", "{\"type\":\"span.model_request_start\"}", NULL);
	gives("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"go\"}]},"
	      "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"on it\"},"
	      "{\"type\":\"tool_use\",\"id\":\"sevt_1\",\"name\":\"bash\",\"input\":{\"a\":1}},"
	      "{\"type\":\"tool_use\",\"id\":\"sevt_2\",\"name\":\"own\",\"input\":{}}]},"
	      "{\"role\":\"user\",\"content\":["
	      "{\"type\":\"tool_result\",\"tool_use_id\":\"sevt_2\",\"is_error\":true},"
	      "{\"type\":\"tool_result\",\"tool_use_id\":\"sevt_1\",\"content\":[{\"type\":\"text\",\"text\":\"r1\"}]},"
	      "{\"type\":\"text\",\"text\":\"more\"}]}]",
	      MESSAGE("user", "go"), MESSAGE("agent", "on it"), CALL("sevt_1"), CUSTOM("sevt_2"),
	      "{\"type\":\"session.status_idle\"}", MESSAGE("user", "more"),
	      "{\"type\":\"user.custom_tool_result\",\"custom_tool_use_id\":\"sevt_2\",\"content\":[],\"is_error\":true}",
	      RESULT("sevt_1", "r1"), NULL);
}

static void what_came_before_an_interrupt_stays_one_message(void **state)
{
	(void)state;
	gives("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}]",
	      MESSAGE("user", "a"), "{\"type\":\"user.interrupt\"}", MESSAGE("user", "b"), NULL);
}

static void empty_texts_and_system_messages(void **state)
{
	(void)state;
	gives("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
	      "\"<system-message>\\nhurry\\n</system-message>\"}]}]",
	      MESSAGE("user", "a"), MESSAGE("agent", " \\n"), MESSAGE("system", "hurry"), NULL);
}

static void a_kept_block_goes_back_as_it_came(void **state)
{
	(void)state;
	const char kept[] = "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"}";
	struct model_turn_event events[] = {
	        {.json = SPAN_LIT(MESSAGE("user", "a"))},
	        {.json = SPAN_LIT("{\"type\":\"agent.thinking\"}"), .kept = SPAN_LIT(kept)},
	        {.json = SPAN_LIT(CALL("sevt_1"))},
	        {.json = SPAN_LIT(RESULT("sevt_1", "x"))},
	};
	struct buf AUTO_BUF out, again;
	struct err e;
	buf_init(&out, 10000);
	buf_init(&again, 10000);
	assert_false(failed(make(events, 4, &out, &e)));
	assert_non_null(strstr(buf_str(&out), kept));
	assert_false(failed(make(events, 4, &again, &e)));
	assert_string_equal(buf_str(&out), buf_str(&again));
	assert_non_null(strstr(buf_str(&out), "{\"model\":\"m-1\",\"max_tokens\":100,\"system\":\"Be brief.\",\"messages\":["));
}

// What stands beside the messages for an agent with that model.
static void asks(const char *model, const char *want)
{
	char *AUTO_FREE of_agent = mem_printf("{\"model\":%s,\"tools\":[]}", model);
	struct model_turn_event said = {.json = SPAN_LIT(MESSAGE("user", "go"))};
	struct model_turn_opts o = {
	        .agent = span_of(of_agent), .events = &said, .n_events = 1, .model = SPAN_LIT("m"), .max_tokens = 9};
	struct buf AUTO_BUF out;
	struct err e;
	buf_init(&out, 10000);
	assert_false(failed(model_turn_request(&o, &out, &e)));
	json_t *AUTO_JSON j = NULL;
	assert_false(failed(json_parse_object(buf_span(&out), "request", &j, &e)));
	json_object_del(j, "messages");
	char *AUTO_FREE got = json_text(j, NULL);
	assert_string_equal(got, want);
}

static void the_agents_model_sets_what_is_asked(void **state)
{
	(void)state;
	asks("{\"id\":\"m\",\"speed\":\"standard\"}", "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true}");
	asks("{\"id\":\"m\",\"speed\":\"fast\",\"effort\":{\"type\":\"low\"},\"inference_geo\":\"eu\"}",
	     "{\"model\":\"m\",\"max_tokens\":9,\"output_config\":{\"effort\":\"low\"},\"inference_geo\":\"eu\","
	     "\"speed\":\"fast\",\"stream\":true}");
}

static void refuses(const char *event, size_t max, enum err_kind kind)
{
	struct model_turn_event events[] = {{.json = span_of(event)}};
	struct buf AUTO_BUF out;
	struct err e = {0};
	buf_init(&out, max);
	assert_true(failed(make(events, 1, &out, &e)));
	assert_int_equal(e.kind, kind);
	assert_int_equal(buf_len(&out), 0);
}

static void what_can_not_be_a_request_is_refused(void **state)
{
	(void)state;
	refuses(MESSAGE("agent", "a"), 1000, ERR_INVALID);
	refuses("{\"type\":\"session.status_running\"}", 1000, ERR_INVALID);
	refuses(MESSAGE("user", "a"), 20, ERR_TOO_LARGE);
	refuses("{\"type\":", 1000, ERR_CORRUPT);
	refuses("{\"type\":\"agent.tool_use\",\"name\":\"x\",\"input\":{}}", 1000, ERR_CORRUPT);
	refuses("{\"type\":\"user.tool_result\"}", 1000, ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_conversation_becomes_messages),
	        cmocka_unit_test(what_came_before_an_interrupt_stays_one_message),
	        cmocka_unit_test(empty_texts_and_system_messages),
	        cmocka_unit_test(a_kept_block_goes_back_as_it_came),
	        cmocka_unit_test(the_agents_model_sets_what_is_asked),
	        cmocka_unit_test(what_can_not_be_a_request_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "control/agent_loop_answer.h"

static const char agent_text[] =
        "{\"tools\":[{\"type\":\"agent_toolset_20260401\",\"configs\":["
        "{\"name\":\"write\",\"permission_policy\":{\"type\":\"always_ask\"}},"
        "{\"name\":\"read\",\"permission_policy\":{\"type\":\"auto\"}},{\"name\":\"edit\",\"enabled\":false}]},"
        "{\"type\":\"custom\",\"name\":\"own\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}}]}";

static json_t *parse(const char *text)
{
	json_t *j;
	struct err e;
	assert_false(failed(json_parse(span_of(text), "text", &j, &e)));
	return j;
}

// The events of an answer, without ids, each as compact JSON on a line of its own.
static void becomes(const char *content, const char *reason, const char *stop_reason, const char *want)
{
	json_t *AUTO_JSON agent = parse(agent_text);
	struct model_answer answer = {.content = parse(content), .stop_reason = mem_strdup(reason)};
	struct agent_loop_ids *ids = NEW(struct agent_loop_ids);
	struct agent_loop_outcome out;
	agent_loop_answer(agent, &answer, ids, &out);
	struct buf AUTO_BUF got;
	buf_init(&got, 10000);
	json_t *event;
	size_t i;
	json_array_foreach (out.events, i, event) {
		json_object_del(event, "id");
		json_object_del(event, "tool_use_id");
		json_object_del(event, "custom_tool_use_id");
		char *AUTO_FREE text = json_text(event, NULL);
		assert_true(buf_printf(&got, "%s\n", text));
	}
	assert_string_equal(buf_str(&got), want);
	if (stop_reason == NULL)
		assert_null(out.stop_reason);
	else
		assert_string_equal(out.stop_reason, stop_reason);
	json_decref(out.events);
	json_decref(out.stop_details);
	model_answer_fini(&answer);
	free(ids);
}

#define TEXT(t) "{\"type\":\"text\",\"text\":\"" t "\"}"
#define CALL(name, more) "{\"type\":\"tool_use\",\"id\":\"x\",\"name\":\"" name "\",\"input\":{}" more "}"
#define EVENT(t) "{\"type\":\"agent.message\",\"content\":[" t "]}\n"
#define ALLOWED(name)                                         \
	"{\"type\":\"agent.tool_use\",\"name\":\"" name       \
	"\",\"input\":{},\"evaluated_permission\":\"allow\"," \
	"\"evaluation\":{\"type\":\"always_allow\"}}\n"
#define DENIED(name) "{\"type\":\"agent.tool_use\",\"name\":\"" name "\",\"input\":{},\"evaluated_permission\":\"deny\"}\n"
#define CLOSED(why) "{\"type\":\"user.tool_result\",\"is_error\":true,\"content\":[" TEXT(why) "]}\n"

static void texts_in_a_row_are_one_message(void **state)
{
	(void)state;
	becomes("[" TEXT("a") "," TEXT("b") "," CALL("bash", "") "," TEXT("") "," TEXT("c") "]", "tool_use", NULL,
	        EVENT(TEXT("a") "," TEXT("b")) ALLOWED("bash") EVENT(TEXT("c")));
	becomes("[" TEXT("") "]", "end_turn", "end_turn", "");
	becomes("[]", "end_turn", "end_turn", "");
}

static void thinking_is_kept_and_not_shown(void **state)
{
	(void)state;
	const char block[] = "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"}";
	AUTO_FREE char *content = mem_printf("[%s]", block);
	AUTO_FREE char *want = mem_printf("{\"type\":\"agent.thinking\",\"kept\":%s}\n", block);
	becomes(content, "end_turn", "end_turn", want);
}

static void calls_are_judged(void **state)
{
	(void)state;
	becomes("[" CALL("write", "") "]", "tool_use", NULL,
	        "{\"type\":\"agent.tool_use\",\"name\":\"write\",\"input\":{},\"evaluated_permission\":\"ask\","
	        "\"evaluation\":{\"type\":\"always_ask\"}}\n");
	becomes("[" CALL("read", "") "]", "tool_use", NULL,
	        "{\"type\":\"agent.tool_use\",\"name\":\"read\",\"input\":{},\"evaluated_permission\":\"ask\",\"evaluation\":"
	        "{\"type\":\"auto\",\"evaluated_permission\":{\"type\":\"ask\",\"reason_code\":\"indeterminate\"}}}\n");
	becomes("[" CALL("own", "") "]", "tool_use", NULL,
	        "{\"type\":\"agent.custom_tool_use\",\"name\":\"own\",\"input\":{}}\n");
	becomes("[" CALL("nope", "") "," CALL("edit", "") "]", "tool_use", NULL,
	        DENIED("nope") DENIED("edit") CLOSED("There is no tool named nope.")
	                CLOSED("The tool edit is turned off for this agent."));
	becomes("[" CALL("bash", ",\"broken\":true") "]", "max_tokens", NULL,
	        DENIED("bash") CLOSED("The input of this call of bash was cut off or is no JSON object. It was not run."));
}

static void other_ends(void **state)
{
	(void)state;
	becomes("[" TEXT("no") "," CALL("bash", "") "]", "refusal", "refusal", EVENT(TEXT("no")));
	becomes("[" TEXT("a") "]", "pause_turn", "end_turn", EVENT(TEXT("a")));
	becomes("[" TEXT("a") "]", "max_tokens", "end_turn",
	        EVENT(TEXT("a")) "{\"type\":\"session.error\",\"error\":{\"type\":\"unknown_error\",\"message\":\"the model's answer "
	                         "was cut off at max_tokens; raise it for this model in the configuration of control\","
	                         "\"retry_status\":{\"type\":\"exhausted\"}}}\n");
}

static void previews_and_events_have_the_same_ids(void **state)
{
	(void)state;
	json_t *AUTO_JSON agent = parse(agent_text);
	struct model_answer answer = {.content = parse("[" TEXT("a") "," TEXT("b") "," CALL("bash", "") "]"),
	                              .stop_reason = mem_strdup("tool_use")};
	struct agent_loop_ids *ids = NEW(struct agent_loop_ids);
	assert_true(agent_loop_ids_add(ids, SPAN_LIT("text")));
	assert_false(agent_loop_ids_add(ids, SPAN_LIT("text")));
	assert_true(agent_loop_ids_add(ids, SPAN_LIT("tool_use")));
	assert_int_equal(ids->part[1], 1);
	struct agent_loop_outcome out;
	agent_loop_answer(agent, &answer, ids, &out);
	assert_string_equal(json_string_value(json_object_get(json_array_get(out.events, 0), "id")), ids->of_block[0]);
	assert_string_equal(json_string_value(json_object_get(json_array_get(out.events, 1), "id")), ids->of_block[2]);
	json_decref(out.events);
	model_answer_fini(&answer);
	free(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(texts_in_a_row_are_one_message),
	        cmocka_unit_test(thinking_is_kept_and_not_shown),
	        cmocka_unit_test(calls_are_judged),
	        cmocka_unit_test(other_ends),
	        cmocka_unit_test(previews_and_events_have_the_same_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

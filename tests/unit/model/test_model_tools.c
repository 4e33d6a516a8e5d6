#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/model_tools.h"

#define SET(rest) "{\"type\":\"agent_toolset_20260401\"" rest "}"
#define OWN "{\"type\":\"custom\",\"name\":\"own\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}}"

static json_t *tools_of(const char *text)
{
	json_t *j;
	struct err e;
	assert_false(failed(json_parse(span_of(text), "tools", &j, &e)));
	return j;
}

static void offers(const char *tools, const char *names)
{
	json_t *AUTO_JSON t = tools_of(tools);
	json_t *AUTO_JSON offer = model_tools_offer(t);
	json_t *tool;
	size_t i;
	struct buf AUTO_BUF got;
	buf_init(&got, 200);
	json_array_foreach (offer, i, tool) {
		assert_true(json_is_object(json_object_get(tool, "input_schema")));
		assert_true(json_is_string(json_object_get(tool, "description")));
		assert_true(buf_printf(&got, "%s ", json_string_value(json_object_get(tool, "name"))));
	}
	assert_string_equal(buf_str(&got), names);
}

static void the_enabled_tools_are_offered(void **state)
{
	(void)state;
	offers("[]", "");
	offers("[" SET("") "]", "bash read write edit glob grep ");
	offers("[" OWN "," SET("") "]", "bash read write edit glob grep own ");
	offers("[" SET(",\"default_config\":{\"enabled\":false},\"configs\":[{\"name\":\"grep\",\"enabled\":true}]") "]",
	       "grep ");
	offers("[" SET(",\"configs\":[{\"name\":\"bash\",\"enabled\":false},{\"name\":\"web_fetch\",\"enabled\":true}]") "]",
	       "read write edit glob grep ");
}

static void finds(const char *tools, const char *name, enum model_tool want, enum model_policy policy)
{
	json_t *AUTO_JSON t = tools_of(tools);
	enum model_policy got;
	assert_int_equal(model_tools_find(t, span_of(name), &got), want);
	assert_int_equal(got, policy);
}

static void a_call_is_judged_by_the_configuration(void **state)
{
	(void)state;
	const char ask[] =
	        "[" SET(",\"default_config\":{\"enabled\":true,\"permission_policy\":{\"type\":\"always_allow\"}},"
	                "\"configs\":[{\"name\":\"bash\",\"permission_policy\":{\"type\":\"always_ask\"}},"
	                "{\"name\":\"read\",\"permission_policy\":{\"type\":\"auto\"}},"
	                "{\"name\":\"grep\",\"permission_policy\":{\"type\":\"sometimes\"}},"
	                "{\"name\":\"edit\",\"enabled\":false}]") "," OWN "]";
	finds(ask, "bash", MODEL_TOOL_WORKER, MODEL_POLICY_ASK);
	finds(ask, "read", MODEL_TOOL_WORKER, MODEL_POLICY_AUTO);
	finds(ask, "grep", MODEL_TOOL_WORKER, MODEL_POLICY_ASK);
	finds(ask, "write", MODEL_TOOL_WORKER, MODEL_POLICY_ALLOW);
	finds(ask, "edit", MODEL_TOOL_DISABLED, MODEL_POLICY_ALLOW);
	finds(ask, "own", MODEL_TOOL_CUSTOM, MODEL_POLICY_ALLOW);
	finds(ask, "web_search", MODEL_TOOL_UNKNOWN, MODEL_POLICY_ALLOW);
	finds("[]", "bash", MODEL_TOOL_UNKNOWN, MODEL_POLICY_ALLOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_enabled_tools_are_offered),
	        cmocka_unit_test(a_call_is_judged_by_the_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

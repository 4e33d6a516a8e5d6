#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "replay/scenario.h"

static const char good[] =
        "version: 1\n"
        "scenes:\n"
        "  - name: claims\n"
        "    when: {user: {contains: claim}}\n"
        "    take:\n"
        "      id: {from: user, after: 'claim '}\n"
        "    steps:\n"
        "      - say:\n"
        "          - text: Looking at {{id}}\n"
        "          - {tool: bash, input: {command: 'cat {{id}}', timeout_ms: 10}}\n"
        "        faults: [{do: stall, at: 3}, {do: status, status: 529, times: 2}]\n"
        "      - when: {result: {equals: ok}, failed: false}\n"
        "        say: [{text: '12'}]\n"
        "        stop: max_tokens\n"
        "        usage: {input: 7}\n"
        "        pace: 2ms\n"
        "  - steps:\n"
        "      - {say: [{text: other}]}\n";

static void refuses(const char *text, const char *message)
{
	struct scenario *s = NULL;
	struct err e = {0};
	assert_true(failed(scenario_parse(span_of(text), "s.yaml", &s, &e)));
	assert_string_equal(e.msg, message);
}

static void a_scenario_is_read(void **state)
{
	(void)state;
	struct scenario *s;
	struct err e;
	assert_false(failed(scenario_parse(span_of(good), "s.yaml", &s, &e)));
	assert_int_equal(s->n_scenes, 2);
	assert_int_equal(s->n_steps, 3);
	const struct scenario_step *first = &s->scenes[0].steps[0], *second = &s->scenes[0].steps[1];
	assert_int_equal(first->when.turn, 1);
	assert_true(span_is(first->stop, "tool_use"));
	assert_int_equal(first->n_faults, 2);
	assert_int_equal(first->faults[1].status, 529);
	assert_int_equal(second->when.turn, 0);
	assert_int_equal(second->when.failed, 0);
	assert_true(span_is(second->stop, "max_tokens"));
	assert_int_equal(second->input_tokens, 7);
	assert_int_equal(second->pace_us, 2000);
	char *AUTO_FREE said = json_text(second->say, NULL);
	assert_string_equal(said, "[{\"text\":\"12\"}]");
	assert_int_equal(s->scenes[1].steps[0].index, 2);
	scenario_free(s);
}

#define STEP(rest) "version: 1\nscenes:\n  - steps:\n      - " rest "\n"

static void what_is_wrong_is_named_with_its_place(void **state)
{
	(void)state;
	refuses("version: 2\nscenes: []\n", "s.yaml:1:10: version: expected a whole number from 1 to 1");
	refuses("version: 1\nscenes: []\n", "s.yaml:2:9: scenes: expected a list");
	refuses("scenes: []\n", "s.yaml:1:1: a scenario has \"version: 1\" and \"scenes\"");
	refuses("version: 1\nscenes: [{steps: []}]\n", "s.yaml:2:18: scenes: \"steps\" must be a list of at least one step");
	refuses(STEP("{sya: 1}"), "s.yaml:4:10: unknown key 'sya' in steps; did you mean 'say'?");
	refuses(STEP("{when: {}}"), "s.yaml:4:9: steps: \"say\" is missing");
	refuses(STEP("{say: [{text: a, tool: b, input: {}}]}"),
	        "s.yaml:4:16: say: expected exactly one of text, thinking, tool");
	refuses(STEP("{say: [{tool: b}]}"), "s.yaml:4:16: say: \"input\" belongs to \"tool\", and is needed there");
	refuses(STEP("{say: [{tool: b, input: x}]}"), "s.yaml:4:33: input: expected keys and values");
	refuses(STEP("{say: [{text: '{{x}}'}]}"), "s.yaml:4:23: the variable {{x}} is not among the scene's \"take\"");
	refuses(STEP("{say: [{text: a}], stop: never}"),
	        "s.yaml:4:34: stop: expected one of end_turn, tool_use, max_tokens, pause_turn, refusal, "
	        "model_context_window_exceeded");
	refuses(STEP("{say: [{text: a}], pace: 11m}"), "s.yaml:4:34: pace: at most 10m");
	refuses(STEP("{say: [{text: a}], faults: [{at: 1}]}"), "s.yaml:4:37: faults: \"do\" is missing");
	refuses(STEP("{say: [{text: a}], faults: [{do: status}]}"),
	        "s.yaml:4:37: faults: \"status\" belongs to \"do: status\", and is needed there");
	refuses(STEP("{when: {user: {equals: a, starts: b}}, say: [{text: a}]}"),
	        "s.yaml:4:23: user: expected exactly one of equals, contains, starts");
}

// A scenario cut anywhere, and with any byte changed, is read or refused: no crash, no leak.
static void damaged_scenarios_do_no_harm(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		static const char bytes[] = {'\0', '\n', '{', '[', ':', '-', '"', ' ', '9', (char)0xff};
		for (size_t k = 0; k < sizeof(bytes); k++) {
			char copy[sizeof(good)];
			memcpy(copy, good, sizeof(good));
			copy[i] = bytes[k];
			struct scenario *s = NULL;
			struct err e;
			if (!failed(scenario_parse((struct span){copy, k == 0 ? i : sizeof(good) - 1}, "s", &s, &e)))
				scenario_free(s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_scenario_is_read),
	        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
	        cmocka_unit_test(damaged_scenarios_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

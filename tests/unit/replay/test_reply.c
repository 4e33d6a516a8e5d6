#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "replay/fill.h"
#include "replay/reply.h"

static const char text[] =
        "version: 1\n"
        "scenes:\n"
        "  - when: {user: {starts: 'claim '}}\n"
        "    take:\n"
        "      id: {from: first, after: 'claim ', before: ';'}\n"
        "      sum: {tool: bash, turn: 1, json: /a~1b/1}\n"
        "    steps:\n"
        "      - say: [{tool: bash, input: {command: 'cat {{id}}', n: 3, l: ['{{id}}', '{{', '{{a b}}']}}]\n"
        "      - say: [{text: 'The sum is {{sum}}, é.'}, {thinking: hm}]\n"
        "      - when: {round: 1, turn: 3}\n"
        "        say: [{text: again}]\n"
        "      - when: {failed: true}\n"
        "        say: [{text: failed}]\n";

static json_t *ask(const struct scenario *s, const char *messages, struct err *e)
{
	char *AUTO_FREE body = mem_printf("{\"model\":\"m\",\"max_tokens\":5,\"messages\":%s}", messages);
	json_t *AUTO_JSON j = NULL;
	json_t *message = NULL;
	struct conversation c;
	const struct scenario_scene *scene;
	const struct scenario_step *step;
	assert_false(failed(json_parse_object(span_of(body), "request", &j, e)));
	assert_false(failed(conversation_read(j, &c, e)));
	if (!failed(reply_find(s, &c, &scene, &step, e)) && failed(reply_message(scene, step, &c, SPAN_LIT("m"), &message, e)))
		message = NULL;
	conversation_fini(&c);
	return message;
}

static void says(const struct scenario *s, const char *messages, const char *content)
{
	struct err e = {0};
	json_t *AUTO_JSON message = ask(s, messages, &e);
	if (message == NULL)
		print_message("%s\n", e.msg);
	assert_non_null(message);
	char *AUTO_FREE got = json_text(json_object_get(message, "content"), NULL);
	assert_string_equal(got, content);
}

static void refuses(const struct scenario *s, const char *messages, const char *why)
{
	struct err e = {0};
	json_t *AUTO_JSON message = ask(s, messages, &e);
	assert_null(message);
	assert_string_equal(e.msg, why);
}

#define FIRST "{\"role\":\"user\",\"content\":\"claim 47;\"}"
#define CALLED \
	FIRST ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"x\",\"name\":\"bash\",\"input\":{}}]},"
#define RESULT(more) CALLED "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"x\"" more "}]}"

static void the_conversation_decides(void **state)
{
	(void)state;
	struct scenario *s;
	struct err e;
	assert_false(failed(scenario_parse(span_of(text), "s", &s, &e)));
	says(s, "[" FIRST "]",
	     "[{\"type\":\"tool_use\",\"id\":\"toolu_replay_s1_t1_b0\",\"name\":\"bash\",\"input\":"
	     "{\"command\":\"cat 47\",\"n\":3,\"l\":[\"47\",\"{{\",\"{{a b}}\"]}}]");
	says(s, "[" RESULT(",\"content\":\"{\\\"a/b\\\":[1,12.5]}\"") "]",
	     "[{\"type\":\"text\",\"text\":\"The sum is 12.5, é.\"},{\"type\":\"thinking\",\"thinking\":\"hm\","
	     "\"signature\":\"sig_replay_s2_t2_b1\"}]");
	refuses(s, "[" RESULT(",\"content\":\"no json\"") "]", "the scenario's variable sum: not found in \"no json\"");
	refuses(s, "[{\"role\":\"user\",\"content\":\"claim 47\"}]", "the scenario's variable id: not found in \"claim 47\"");
	refuses(s, "[{\"role\":\"user\",\"content\":\"hello\"}]",
	        "the scenario has no answer for turn 1 (round 1) of the conversation; latest user text: \"hello\"");
	says(s, "[" RESULT("") ",{\"role\":\"assistant\",\"content\":\"y\"},{\"role\":\"user\",\"content\":\"z\"}]",
	     "[{\"type\":\"text\",\"text\":\"again\"}]");
	scenario_free(s);
}

// Puts a stream's deltas together again: the same content as the whole message's.
static void the_frames_say_the_same_as_the_message(void **state)
{
	(void)state;
	struct scenario *s;
	struct err e;
	assert_false(failed(scenario_parse(span_of(text), "s", &s, &e)));
	json_t *AUTO_JSON message =
	        ask(s,
	            "[" RESULT(",\"content\":\"{\\\"a/"
	                       "b\\\":[1,\\\"\\\\u00e9\\\\u00e9\\\\u00e9\\\\u00e9\\\\u00e9\\\\u00e9\\\\u00e9\\\"]}\"") "]",
	            &e);
	assert_non_null(message);
	struct reply_frames f;
	reply_frames_make(message, &f);
	struct buf AUTO_BUF said;
	buf_init(&said, 1000);
	for (size_t i = 0; i < f.n; i++) {
		const char *data = strstr(f.frames[i], "\ndata: ");
		assert_non_null(data);
		json_t *AUTO_JSON j = NULL;
		struct span line = span_head(span_of(data + 7), strlen(data + 7) - 2);
		assert_false(failed(json_parse_object(line, "frame", &j, &e)));
		json_t *delta = json_object_get(j, "delta");
		assert_true(buf_add(&said, json_span(json_object_get(delta, "text"))));
	}
	assert_string_equal(buf_str(&said), "The sum is ééééééé, é.");
	assert_true(span_starts(span_of(f.frames[0]), "event: message_start\n"));
	assert_true(span_starts(span_of(f.frames[f.n - 1]), "event: message_stop\n"));
	reply_frames_fini(&f);
	scenario_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_conversation_decides),
	        cmocka_unit_test(the_frames_say_the_same_as_the_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

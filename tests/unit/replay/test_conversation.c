#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "replay/conversation.h"

static json_t *request(const char *messages)
{
	char *AUTO_FREE text = mem_printf("{\"model\":\"m\",\"max_tokens\":5,\"messages\":%s}", messages);
	json_t *j = NULL;
	struct err e;
	assert_false(failed(json_parse_object(span_of(text), "request", &j, &e)));
	return j;
}

static void refuses(const char *messages, const char *message)
{
	json_t *AUTO_JSON j = request(messages);
	struct conversation c;
	struct err e = {0};
	assert_true(failed(conversation_read(j, &c, &e)));
	assert_string_equal(e.msg, message);
}

#define USER(blocks) "{\"role\":\"user\",\"content\":[" blocks "]}"
#define MODEL(blocks) "{\"role\":\"assistant\",\"content\":[" blocks "]}"
#define TEXT(t) "{\"type\":\"text\",\"text\":\"" t "\"}"
#define CALL(id, name) "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"" name "\",\"input\":{}}"
#define RESULT(id, t) "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":[" TEXT(t) "]}"

static void turns_and_rounds_are_counted(void **state)
{
	(void)state;
	json_t *AUTO_JSON j = request("[" USER(TEXT("one") "," TEXT("more")) "," MODEL(CALL("a", "bash")) "," USER(
	        RESULT("a", "r1")) "," MODEL(TEXT("x")) "," USER(TEXT("two")) "," MODEL(CALL("b", "read") "," CALL("c", "bash")) "," USER(
	        RESULT("c", "r3") "," RESULT("b", "r2")) "]");
	struct conversation c;
	struct err e;
	assert_false(failed(conversation_read(j, &c, &e)));
	assert_int_equal(c.turn, 4);
	assert_int_equal(c.round, 2);
	assert_string_equal(buf_str(&c.first), "one\nmore");
	assert_string_equal(buf_str(&c.user), "two");
	assert_true(c.has_result);
	struct buf AUTO_BUF text;
	struct span tool;
	buf_init(&text, 100);
	assert_true(conversation_result(&c, SPAN_LIT(""), 0, &text, &tool, NULL));
	assert_string_equal(buf_str(&text), "r2");
	assert_true(span_is(tool, "read"));
	assert_true(conversation_result(&c, SPAN_LIT("bash"), 1, &text, NULL, NULL));
	assert_string_equal(buf_str(&text), "r1");
	assert_true(conversation_result(&c, SPAN_LIT("bash"), 3, &text, NULL, NULL));
	assert_string_equal(buf_str(&text), "r3");
	assert_false(conversation_result(&c, SPAN_LIT("read"), 1, &text, NULL, NULL));
	conversation_fini(&c);
}

static void what_a_messages_api_refuses_is_refused(void **state)
{
	(void)state;
	refuses("[]", "messages: at least one message is required");
	refuses("[3]", "messages.0: expected an object");
	refuses("[" MODEL(TEXT("a")) "]",
	        "messages.0.role: roles must alternate between \"user\" and \"assistant\", from \"user\"");
	refuses("[" USER("") "]", "messages.0.content: expected a text or blocks");
	refuses("[" USER(TEXT("  ")) "]", "messages.0.content.0: text content blocks must be non-empty");
	refuses("[" USER(TEXT("a")) "," MODEL(TEXT("b")) "]", "messages: the last one must be the user's");
	refuses("[" USER(TEXT("a")) "," MODEL(CALL("a b", "n")) "," USER(RESULT("a b", "x")) "]",
	        "messages.1.content.0.id: only letters, digits, '_' and '-' are allowed");
	refuses("[" USER(TEXT("a")) "," MODEL(CALL("q", "n")) "," USER(TEXT("x")) "]",
	        "messages.2: no tool_result for the tool_use q of the message before");
	refuses("[" USER(TEXT("a")) "," MODEL(TEXT("q")) "," USER(RESULT("q", "x")) "]",
	        "messages.2.content.0: the message before has no tool_use of the id q");
	refuses("[" USER(RESULT("q", "x")) "]", "messages.0.content.0: the message before has no tool_use of the id q");
	refuses("[" USER(CALL("q", "x")) "]", "messages.0.content.0.type: \"tool_use\" can't stand here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(turns_and_rounds_are_counted),
	        cmocka_unit_test(what_a_messages_api_refuses_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

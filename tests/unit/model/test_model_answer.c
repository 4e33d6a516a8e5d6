#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/model_answer.h"

#define FRAME(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define START FRAME("message_start", ",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}")
#define PING FRAME("ping", "")
#define BLOCK(i, block) FRAME("content_block_start", ",\"index\":" i ",\"content_block\":" block)
#define DELTA(i, delta) FRAME("content_block_delta", ",\"index\":" i ",\"delta\":" delta)
#define STOP(i) FRAME("content_block_stop", ",\"index\":" i)
#define TEXT(i, t) DELTA(i, "{\"type\":\"text_delta\",\"text\":\"" t "\"}")
#define INPUT(i, t) DELTA(i, "{\"type\":\"input_json_delta\",\"partial_json\":\"" t "\"}")
#define TEXT_BLOCK(i, t) BLOCK(i, "{\"type\":\"text\",\"text\":\"\"}") TEXT(i, t) STOP(i)
#define CALL(i) BLOCK(i, "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{}}")
#define END(reason)                                                                                                 \
	FRAME("message_delta",                                                                                      \
	      ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}") \
	FRAME("message_stop", "")

static const char good[] = START PING BLOCK("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
        DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}")
                DELTA("0", "{\"type\":\"signature_delta\",\"signature\":\"sg\"}") STOP("0")
                        BLOCK("1", "{\"type\":\"text\",\"text\":\"\"}") TEXT("1", "h\\u00e9") TEXT("1", "llo") STOP("1")
                                CALL("2") INPUT("2", "") INPUT("2", "{\\\"a\\\":") FRAME("news", ",\"x\":1") INPUT("2", "[1]}")
                                        STOP("2") END("tool_use");

struct seen {
	struct buf text;
	size_t blocks;
};

static void on_block(void *arg, size_t index, struct span type)
{
	struct seen *s = arg;
	assert_int_equal(index, s->blocks);
	assert_true(type.len > 0);
	s->blocks++;
}

static void on_text(void *arg, size_t index, struct span text)
{
	struct seen *s = arg;
	assert_int_equal(index, s->blocks - 1);
	assert_true(buf_add(&s->text, text));
}

// Feeds `n` bytes in two pieces, then the end.
static bool decode(const char *bytes, size_t n, size_t split, struct model_answer *out, struct seen *seen,
                   struct model_failure *f)
{
	*seen = (struct seen){0};
	buf_init(&seen->text, 100);
	struct model_decoder_calls calls = {.on_block = on_block, .on_text = on_text, .arg = seen};
	struct model_decoder *d = model_decoder_new(&calls);
	bool ok = model_decoder_feed(d, (struct span){bytes, split}, f) &&
	          model_decoder_feed(d, (struct span){bytes + split, n - split}, f) && model_decoder_end(d, out, f);
	model_decoder_free(d);
	return ok;
}

static void a_whole_answer_is_read_at_every_split(void **state)
{
	(void)state;
	for (size_t split = 0; split < sizeof(good); split++) {
		struct model_answer a;
		struct model_failure f;
		struct seen seen;
		assert_true(decode(good, sizeof(good) - 1, split, &a, &seen, &f));
		char *AUTO_FREE content = json_text(a.content, NULL);
		assert_string_equal(content,
		                    "[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"sg\"},"
		                    "{\"type\":\"text\",\"text\":\"héllo\"},"
		                    "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{\"a\":[1]}}]");
		assert_string_equal(a.stop_reason, "tool_use");
		assert_string_equal(buf_str(&seen.text), "héllo");
		assert_int_equal(seen.blocks, 3);
		assert_int_equal(json_integer_value(json_object_get(a.usage, "input_tokens")), 7);
		assert_int_equal(json_integer_value(json_object_get(a.usage, "output_tokens")), 9);
		buf_fini(&seen.text);
		model_answer_fini(&a);
	}
}

static void a_part_is_never_an_answer(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(good) - 2; n++) { // the last newline ends the last event
		struct model_answer a;
		struct model_failure f;
		struct seen seen;
		assert_false(decode(good, n, n / 2, &a, &seen, &f));
		assert_true(f.retry);
		assert_string_equal(f.message, "the model gave no whole answer: the stream ended before message_stop");
		buf_fini(&seen.text);
	}
}

static void what_follows_the_end_is_passed_over(void **state)
{
	(void)state;
	const char stream[] = START TEXT_BLOCK("0", "a") END("end_turn") "event: x\ndata: \xff\n\n" START;
	for (size_t split = 0; split < sizeof(stream); split++) {
		struct model_answer a;
		struct model_failure f;
		struct seen seen;
		assert_true(decode(stream, sizeof(stream) - 1, split, &a, &seen, &f));
		buf_fini(&seen.text);
		model_answer_fini(&a);
	}
}

static void refuses(const char *stream, bool retry, const char *why)
{
	struct model_answer a;
	struct model_failure f = {0};
	struct seen seen;
	assert_false(decode(stream, strlen(stream), strlen(stream) / 2, &a, &seen, &f));
	buf_fini(&seen.text);
	assert_int_equal(f.retry, retry);
	if (strstr(f.message, why) == NULL)
		fail_msg("%s: not in: %s", why, f.message);
}

static void what_is_no_answer_is_refused(void **state)
{
	(void)state;
	refuses(START START, true, "an unexpected message_start");
	refuses(TEXT_BLOCK("0", "a"), true, "an unexpected content_block_start");
	refuses(START BLOCK("1", "{\"type\":\"text\",\"text\":\"\"}"), true, "an unexpected content_block_start");
	refuses(START TEXT("0", "a"), true, "an unexpected content_block_delta");
	refuses(START CALL("0") TEXT("0", "a"), true, "a delta that does not fit its block");
	refuses(START CALL("0") END("tool_use"), true, "an unexpected message_delta");
	refuses(START STOP("0"), true, "an unexpected content_block_stop");
	refuses(START FRAME("message_stop", ""), true, "a message_stop before the answer's end");
	refuses(START BLOCK("0", "{\"type\":\"server_tool_use\",\"id\":\"a\",\"name\":\"b\",\"input\":{}}"), true,
	        "not asked for");
	refuses(START BLOCK("0", "{\"type\":\"tool_use\",\"name\":\"b\",\"input\":{}}"), true, "not asked for");
	refuses(START BLOCK("0", "{\"type\":\"text\",\"text\":3}"), true, "not asked for");
	refuses(START "event: x\ndata: {\"type\":\xff\n\n", true, "not valid JSON");
	refuses(START "event: x\ndata: [1]\n\n", true, "must be a JSON object");
	refuses(START FRAME("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}"), true,
	        "overloaded_error: busy");
	refuses(FRAME("error", ",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"bad\"}"), false, "bad");
}

static void an_input_that_is_no_object_is_marked(void **state)
{
	(void)state;
	static const char *const streams[] = {
	        START CALL("0") INPUT("0", "{\\\"a\\\":") STOP("0") END("max_tokens"),
	        START CALL("0") INPUT("0", "[1]") STOP("0") END("tool_use"),
	};
	for (size_t i = 0; i < 2; i++) {
		struct model_answer a;
		struct model_failure f;
		struct seen seen;
		assert_true(decode(streams[i], strlen(streams[i]), 0, &a, &seen, &f));
		char *AUTO_FREE content = json_text(a.content, NULL);
		assert_string_equal(
		        content, "[{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{},\"broken\":true}]");
		buf_fini(&seen.text);
		model_answer_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_whole_answer_is_read_at_every_split), cmocka_unit_test(a_part_is_never_an_answer),
	        cmocka_unit_test(what_follows_the_end_is_passed_over),   cmocka_unit_test(what_is_no_answer_is_refused),
	        cmocka_unit_test(an_input_that_is_no_object_is_marked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

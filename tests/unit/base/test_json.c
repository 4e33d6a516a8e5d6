#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "unit/unit.h"

static struct err e;

static void test_strict_reading(void **state)
{
	static const char *const bad[] = {"",     " ",       "{",           "{}x",        "{\"a\":1,\"a\":2}",
	                                  "[1,]", "{'a':1}", "\"\\u0000\"", "\"\xff\"",   "\"\\ud800\"",
	                                  "01",   "1e400",   "nul",         "[\"a\nb\"]", "\xef\xbb\xbf{}"};
	json_t *j = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (!failed(json_parse(span_of(bad[i]), "it", &j, &e)))
			fail_msg("'%s' was taken", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_true(failed(json_parse_object(SPAN_LIT("[]"), "the body", &j, &e)));
	assert_string_equal(e.msg, "the body must be a JSON object");
	assert_false(failed(json_parse(SPAN_LIT(" 1 "), "it", &j, &e)));
	json_decref(j);
}

static void test_lossy_reading(void **state)
{
	static const char *const cases[][2] = {
	        {"\"a\\u0000b\"",
	         "a\xef\xbf\xbd"
	         "b"},
	        {"\"\\ud83d\"", "\xef\xbf\xbd"},
	        {"\"\\ude00x\"", "\xef\xbf\xbdx"},
	        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
	        {"\"\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80"},
	        {"\"\\\\u0000\"", "\\u0000"},
	        {"\"\\\\\\u0000\"", "\\\xef\xbf\xbd"},
	        {"\"\\u0041\"", "A"},
	};
	static const char *const bad[] = {"\"\\u",   "\"\\u00",     "\"\\u00zz\"", "\"\\ud83d",
	                                  "\\u0000", "\"\\u 000\"", "\"\\u-001\""};
	json_t *j = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_false(failed(json_parse_lossy(span_of(cases[i][0]), "it", &j, &e)));
		assert_string_equal(json_string_value(j), cases[i][1]);
		json_decref(j);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(failed(json_parse_lossy(span_of(bad[i]), "it", &j, &e)));
	assert_true(failed(json_parse_object_lossy(SPAN_LIT("\"\\u0000\""), "the body", &j, &e)));
	assert_string_equal(e.msg, "the body must be a JSON object");
}

static void test_depth(void **state)
{
	char deep[2 * JSON_DEPTH_MAX + 3];
	json_t *j = NULL;

	(void)state;
	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_false(failed(json_parse(span_from(deep, 2 * JSON_DEPTH_MAX), "it", &j, &e)));
	json_decref(j);
	memset(deep, '[', JSON_DEPTH_MAX + 1);
	memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_true(failed(json_parse(span_from(deep, 2 * JSON_DEPTH_MAX + 2), "it", &j, &e)));
	assert_false(failed(json_parse(SPAN_LIT("\"[[[[\\\"[[[[\""), "it", &j, &e)));
	json_decref(j);
}

static void test_members(void **state)
{
	AUTO_JSON json_t *j =
	        json_pack("{s:s, s:i, s:b, s:n, s:{}, s:[]}", "text", "x", "number", 7, "flag", 1, "none", "object", "array");
	struct span s = SPAN_LIT("unchanged");
	int64_t n;
	bool flag;
	json_t *o;

	(void)state;
	assert_false(failed(json_get_string(j, "", "text", &s, &e)) || !span_is(s, "x"));
	assert_false(failed(json_opt_string(j, "", "none", &s, &e)) || !span_is(s, "x"));
	assert_true(failed(json_get_string(j, "events[2]", "none", &s, &e)));
	assert_string_equal(e.msg, "events[2].none: required");
	assert_true(failed(json_get_string(j, "", "number", &s, &e)));
	assert_string_equal(e.msg, "number: expected a string, got an integer");
	assert_false(failed(json_opt_int(j, "", "missing", 3, &n, &e)) || n != 3);
	assert_false(failed(json_get_int(j, "", "number", &n, &e)) || n != 7);
	assert_true(failed(json_get_int(j, "", "flag", &n, &e)));
	assert_false(failed(json_opt_bool(j, "", "flag", false, &flag, &e)) || !flag);
	assert_true(failed(json_opt_bool(j, "", "text", false, &flag, &e)));
	assert_false(failed(json_get_object(j, "", "object", &o, &e)));
	assert_true(failed(json_get_object(j, "", "array", &o, &e)));
	assert_false(failed(json_get_array(j, "", "array", &o, &e)));
	assert_false(failed(json_opt_array(j, "", "missing", &o, &e)) || o != NULL);
}

static void lossy_is(const char *in, size_t n, const char *expected)
{
	AUTO_JSON json_t *j = json_string_lossy(span_from(in, n));

	assert_string_equal(json_string_value(j), expected);
}

static void test_bytes_as_text(void **state)
{
	(void)state;
	lossy_is("plain \xc3\xa9", 8, "plain \xc3\xa9");
	lossy_is(NULL, 0, "");
	lossy_is("a\0b", 3,
	         "a\xef\xbf\xbd"
	         "b");
	lossy_is("\xff\xc3\xa9\xe2\x82", 5, "\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
}

static void canonical_is(const char *in, const char *expected)
{
	AUTO_JSON json_t *j = NULL;
	AUTO_BUF struct buf out;

	buf_init(&out, 4096);
	assert_false(failed(json_parse(span_of(in), "it", &j, &e)));
	assert_false(failed(json_canonical(j, &out, &e)));
	assert_string_equal(buf_str(&out), expected);
}

// RFC 8785 sections 3.2.2 and 3.2.3 (its sorting example, without the numbers we refuse).
static void test_canonical_form(void **state)
{
	(void)state;
	canonical_is("{ \"b\" : [ 1, true , null ], \"a\" : { } }", "{\"a\":{},\"b\":[1,true,null]}");
	canonical_is("\"\\u20ac$\\u000f\\nA'B\\\"\\\\\\\"/\"", "\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\"/\"");
	canonical_is("{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,\"\\u00f6\":7}",
	             "{\"\\r\":2,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":1,\"\xf0\x9f\x98\x80\":5,"
	             "\"\xef\xac\xb3\":3}");
	canonical_is("-9007199254740992", "-9007199254740992");
}

static void test_canonical_refuses(void **state)
{
	static const char *const bad[] = {"1.5", "1e2", "9007199254740993", "[0.0]"};
	AUTO_BUF struct buf out;

	(void)state;
	buf_init(&out, 64);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_JSON json_t *j = NULL;
		buf_clear(&out);
		assert_false(failed(json_parse(span_of(bad[i]), "it", &j, &e)));
		assert_true(failed(json_canonical(j, &out, &e)));
	}
	AUTO_JSON json_t *big = json_string("0123456789012345678901234567890123456789012345678901234567890123456789");
	buf_clear(&out);
	assert_true(failed(json_canonical(big, &out, &e)));
	assert_int_equal(e.kind, ERR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_strict_reading),
	        cmocka_unit_test(test_lossy_reading),
	        cmocka_unit_test(test_depth),
	        cmocka_unit_test(test_members),
	        cmocka_unit_test(test_bytes_as_text),
	        cmocka_unit_test(test_canonical_form),
	        cmocka_unit_test(test_canonical_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// What a client hands in: made to fit on its side, refused on the recorder's when it does not.
#include "unit/unit.h"

#include "audit/submission.h"
#include "base/mem.h"

static struct result round_trip(const struct audit_entry *a, json_t **hold, struct audit_entry *out)
{
	struct buf b;
	struct err e;
	buf_init(&b, SUBMISSION_MAX);
	struct result r = submission_write(a, &b, &e);
	if (!failed(r))
		r = submission_read(buf_span(&b), hold, out, &e);
	buf_fini(&b);
	return r;
}

static struct audit_entry plain(void)
{
	return (struct audit_entry){.phase = AUDIT_INTENT, .uid = SPAN_LIT("u.intent"), .operation = SPAN_LIT("tool_call")};
}

static void test_round_trip(void **state)
{
	(void)state;
	struct audit_entry a = plain(), b;
	json_t *hold;
	a.session = SPAN_LIT("sesn_01");
	a.denied = true;
	a.duration_us = 5;
	a.arguments = SPAN_LIT("not in the text");
	assert_false(failed(round_trip(&a, &hold, &b)));
	assert_true(b.phase == AUDIT_INTENT && b.denied && !b.failed && b.duration_us == 5);
	assert_true(span_eq(a.uid, b.uid) && span_eq(a.session, b.session) && b.arguments.len == 0 && b.pair.len == 0);
	json_decref(hold);
}

static void test_texts_are_made_to_fit(void **state)
{
	(void)state;
	static char wide[6000];
	for (size_t i = 0; i < sizeof(wide); i += 3)
		memcpy(wide + i, "\xe2\x82\xac", 3);
	for (size_t n = 1010; n < 1040; n++) {
		struct audit_entry a = plain(), b;
		json_t *hold;
		a.object = span_from(wide, n); // may end inside a character
		a.reason = SPAN_LIT("bad \xff byte and \0 zero");
		assert_false(failed(round_trip(&a, &hold, &b)));
		assert_true(b.object.len <= 1024 && span_is_utf8(b.object) && span_is_utf8(b.reason));
		assert_true(span_starts(b.reason, "bad \xef\xbf\xbd byte"));
		if (n > 1024)
			assert_memory_equal(b.object.data + b.object.len - 3, "\xe2\x80\xa6", 3);
		json_decref(hold);
	}
}

static void assert_refused(struct audit_entry a)
{
	struct audit_entry b;
	json_t *hold;
	assert_true(failed(round_trip(&a, &hold, &b)));
}

static void test_identifiers_are_strict(void **state)
{
	(void)state;
	static char longest[300];
	memset(longest, 'x', sizeof(longest));
	struct audit_entry a;
	a = plain(), a.uid = span_from(longest, SUBMISSION_UID_MAX + 1), assert_refused(a);
	a = plain(), a.uid = span_from(NULL, 0), assert_refused(a);
	a = plain(), a.uid = SPAN_LIT("a\nb"), assert_refused(a);
	a = plain(), a.uid = SPAN_LIT("a\xff"), assert_refused(a);
	a = plain(), a.session = SPAN_LIT("../x"), assert_refused(a);
	a = plain(), a.session = SPAN_LIT(".machine"), assert_refused(a);
	a = plain(), a.session = span_from(longest, SUBMISSION_SESSION_MAX + 1), assert_refused(a);
	a = plain(), a.operation = SPAN_LIT("two words"), assert_refused(a);
	a = plain(), a.trace = SPAN_LIT("0123"), assert_refused(a);
	a = plain(), a.trace = SPAN_LIT("0123456789ABCDEF0123456789abcdef"), assert_refused(a);
	a = plain(), a.pair = SPAN_LIT("intents have none"), assert_refused(a);
}

static void test_the_recorder_takes_nothing_else(void **state)
{
	(void)state;
	static const char *const bad[] = {
	        "",
	        "[]",
	        "{}",
	        "{\"phase\":\"admin\"}",
	        "{\"phase\":\"admin\",\"uid\":\"u\"}",
	        "{\"uid\":\"u\",\"operation\":\"o\"}",
	        "{\"phase\":\"admin\",\"uid\":\"u\",\"operation\":\"o\",\"extra\":\"x\"}",
	        "{\"phase\":\"admin\",\"uid\":\"u\",\"uid\":\"v\",\"operation\":\"o\"}",
	        "{\"phase\":\"admin\",\"uid\":\"u\",\"operation\":\"o\",\"denied\":false}",
	        "{\"phase\":\"admin\",\"uid\":\"u\",\"operation\":\"o\",\"duration_us\":9007199254740993}",
	        "{\"phase\":1,\"uid\":\"u\",\"operation\":\"o\"}",
	};
	struct audit_entry b;
	json_t *hold;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(failed(submission_read(span_of(bad[i]), &hold, &b, NULL)));
	assert_false(
	        failed(submission_read(SPAN_LIT("{\"phase\":\"admin\",\"uid\":\"u\",\"operation\":\"o\"}"), &hold, &b, NULL)));
	json_decref(hold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_round_trip),
	        cmocka_unit_test(test_texts_are_made_to_fit),
	        cmocka_unit_test(test_identifiers_are_strict),
	        cmocka_unit_test(test_the_recorder_takes_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// Entries: what is submitted comes out of the log as it went in; what must not, is refused; the form is canonical.
#include "unit/unit.h"

#include <stdio.h>

#include "audit/entry.h"
#include "audit/submission.h"
#include "base/mem.h"

static const struct audit_entry full = {
        .phase = AUDIT_OUTCOME,
        .uid = {"call_1.outcome", 14},
        .pair = {"call_1.intent", 13},
        .operation = {"tool_call", 9},
        .session = {"sesn_1", 6},
        .agent = {"agent_1", 7},
        .actor = {"model", 5},
        .object = {"bash", 4},
        .rule = {"default", 7},
        .failed = true,
        .reason = {"exit 1", 6},
        .duration_us = 212345,
        .trace = {"0123456789abcdef0123456789abcdef", 32},
};

static struct entry_stamp stamp(const struct hash *prev)
{
	struct entry_stamp s = {.writer = "worker@1000",
	                        .seq = 42,
	                        .prev = prev,
	                        .role = "worker",
	                        .pid = 77,
	                        .boot_id = "9a64fae0-a6f2-4978-894c-9c67311834cd",
	                        .time_ms = 1795500000123,
	                        .arguments = {.len = 3}};
	memset(s.arguments.mac.b, 0xab, HASH_LEN);
	return s;
}

static void test_round_trip(void **state)
{
	(void)state;
	struct hash prev = hash_sha256(SPAN_LIT("before"));
	struct entry_stamp s = stamp(&prev);
	struct buf b, again;
	struct entry e;
	buf_init(&b, ENTRY_MAX);
	buf_init(&again, ENTRY_MAX);
	assert_false(failed(entry_write(&full, &s, &b, NULL)));
	assert_false(failed(entry_read(buf_span(&b), &e, NULL)));
	assert_true(span_is(e.uid, "call_1.outcome") && span_is(e.pair, "call_1.intent") && span_is(e.operation, "tool_call"));
	assert_true(span_is(e.session, "sesn_1") && span_is(e.agent, "agent_1") && span_is(e.actor, "model"));
	assert_true(span_is(e.object, "bash") && span_is(e.rule, "default") && span_is(e.reason, "exit 1"));
	assert_true(span_is(e.phase, "outcome") && span_is(e.writer, "worker@1000"));
	assert_true(e.seq == 42 && e.has_prev && hash_eq(&e.prev, &prev) && e.pid == 77 && e.time_ms == 1795500000123);
	assert_true(e.failed && !e.denied && e.duration_us == 212345 && e.args_len == 3 && e.result_len == 0);
	assert_true(e.args_mac.len == 64 && e.result_mac.len == 0);
	assert_false(failed(json_canonical(e.json, &again, NULL)));
	assert_true(span_eq(buf_span(&b), buf_span(&again)));
	entry_fini(&e);
	buf_fini(&b);
	buf_fini(&again);
}

static void assert_class(const char *operation, int class_uid, int activity)
{
	struct audit_entry a = {.phase = AUDIT_ADMIN, .uid = SPAN_LIT("u"), .operation = span_of(operation)};
	struct entry_stamp s = stamp(NULL);
	struct buf b;
	struct entry e;
	buf_init(&b, ENTRY_MAX);
	assert_false(failed(entry_write(&a, &s, &b, NULL)));
	assert_false(failed(entry_read(buf_span(&b), &e, NULL)));
	assert_int_equal(json_integer_value(json_object_get(e.json, "class_uid")), class_uid);
	assert_int_equal(json_integer_value(json_object_get(e.json, "activity_id")), activity);
	assert_int_equal(json_integer_value(json_object_get(e.json, "type_uid")), class_uid * 100 + activity);
	assert_int_equal(json_integer_value(json_object_get(e.json, "category_uid")), class_uid / 1000);
	assert_int_equal(json_object_get(e.json, "activity_name") != NULL, activity == 99);
	assert_false(e.has_prev);
	entry_fini(&e);
	buf_fini(&b);
}

static void test_classes(void **state)
{
	(void)state;
	assert_class("tool_call", 6003, 99);
	assert_class("session.create", 6003, 1);
	assert_class("work.claim", 6003, 99);
	assert_class("key.create", 3004, 1);
	assert_class("key.revoke", 3004, 4);
	assert_class("agent.disable", 3004, 9);
	assert_class("recorder.start", 1008, 6);
	assert_class("recorder.erase", 1008, 99);
}

// The longest entry that a submission can make fits, even when every byte of its texts has to be escaped.
static void test_the_largest_fits(void **state)
{
	(void)state;
	static char controls[4096];
	memset(controls, 1, sizeof(controls));
	struct audit_entry a = full, read;
	a.reason = a.object = a.rule = a.actor = span_from(controls, sizeof(controls));
	struct entry_stamp s = stamp(NULL);
	struct buf text, b;
	json_t *hold;
	buf_init(&text, SUBMISSION_MAX);
	buf_init(&b, ENTRY_MAX);
	assert_false(failed(submission_write(&a, &text, NULL)));
	assert_false(failed(submission_read(buf_span(&text), &hold, &read, NULL)));
	assert_false(failed(entry_write(&read, &s, &b, NULL)));
	json_decref(hold);
	buf_fini(&text);
	buf_fini(&b);
}

static void assert_no_entry(const char *text)
{
	struct entry e;
	struct err why;
	assert_true(failed(entry_read(span_of(text), &e, &why)));
	assert_int_equal(why.kind, ERR_CORRUPT);
}

#define GOOD                                                                                                            \
	"\"metadata\":{\"uid\":\"u\"},\"time\":1,\"unmapped\":{\"perimeter\":{\"operation\":\"o\",\"phase\":\"admin\"," \
	"\"writer\":\"w\",\"seq\":"

static void test_not_entries(void **state)
{
	(void)state;
	struct entry e;
	assert_false(failed(entry_read(span_of("{" GOOD "\"1\"}}}"), &e, NULL)));
	entry_fini(&e);
	assert_no_entry("");
	assert_no_entry("{}");
	assert_no_entry("[]");
	assert_no_entry("{" GOOD "1}}}");
	assert_no_entry("{" GOOD "\"-1\"}}}");
	assert_no_entry("{" GOOD "\"99999999999999999999\"}}}");
	assert_no_entry("{" GOOD "\"1\",\"prev\":\"00\"}}}");
	assert_no_entry("{" GOOD "\"1\",\"args_len\":-5}}}");
	assert_no_entry("{" GOOD "\"1\"}},\"time\":2}");
	assert_no_entry("{" GOOD "\"1\"}}} x");
	assert_no_entry("{\"time\":1,\"metadata\":{\"uid\":\"u\"},\"unmapped\":{\"perimeter\":7}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_round_trip),
	        cmocka_unit_test(test_classes),
	        cmocka_unit_test(test_the_largest_fits),
	        cmocka_unit_test(test_not_entries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// Credentials: told by value in either header, ended and revoked at once, many of them.
#include "unit/unit.h"

#include <stdio.h>

#include "control/auth.h"

static const struct credential *ask(const struct auth *a, const char *head, struct http1_request *r)
{
	size_t used = 0;
	int status = 0;
	struct err e;
	assert_int_equal(http1_parse_request(span_of(head), r, &used, &status, &e), HTTP1_DONE);
	return auth_find(a, r);
}

static const struct credential *by(const struct auth *a, const char *field, const char *value)
{
	static char head[8192];
	struct http1_request r;
	snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: h\r\n%s: %s\r\n\r\n", field, value);
	return ask(a, head, &r);
}

static void add(struct auth *a, enum auth_kind kind, const char *secret, const char *id, int64_t epoch)
{
	struct credential c = {.kind = kind, .epoch = epoch};
	auth_hash(span_of(secret), c.hash);
	snprintf(c.id, sizeof(c.id), "%s", id);
	auth_add(a, &c);
}

static void either_header_carries_any(void **state)
{
	(void)state;
	struct auth *a = auth_new();
	add(a, AUTH_API, "sp-api-1", "api", 0);
	add(a, AUTH_ENVIRONMENT, "sp-env-1", "key", 0);
	assert_int_equal(by(a, "Authorization", "Bearer sp-api-1")->kind, AUTH_API);
	assert_int_equal(by(a, "AUTHORIZATION", "bEARER   sp-env-1")->kind, AUTH_ENVIRONMENT);
	assert_int_equal(by(a, "X-Api-Key", "sp-env-1")->kind, AUTH_ENVIRONMENT);
	assert_int_equal(by(a, "x-api-key", "sp-api-1")->kind, AUTH_API);
	const char *wrong[] = {"sp-api-", "sp-api-12",      "SP-API-1",          "Bearer",
	                       "Bearer ", "Basic sp-api-1", "Bearer sp-api-1 x", ""};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_null(by(a, "authorization", wrong[i]));
		assert_null(by(a, "x-api-key", wrong[i]));
	}
	struct http1_request r;
	assert_null(ask(a, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", &r));
	auth_free(a);
}

static void tokens_end_and_keys_are_revoked(void **state)
{
	(void)state;
	struct auth *a = auth_new();
	add(a, AUTH_TOKEN, "t1", "work_1", 1);
	add(a, AUTH_TOKEN, "t2", "work_1", 2);
	add(a, AUTH_TOKEN, "t3", "work_2", 1);
	add(a, AUTH_ENVIRONMENT, "e1", "key_1", 0);
	auth_end_token(a, "work_1", 1);
	assert_int_equal(by(a, "x-api-key", "t1")->kind, AUTH_ENDED);
	assert_int_equal(by(a, "x-api-key", "t2")->kind, AUTH_TOKEN);
	assert_int_equal(by(a, "x-api-key", "t3")->kind, AUTH_TOKEN);
	auth_revoke(a, "work_1"); // no key's id
	assert_non_null(by(a, "x-api-key", "t2"));
	auth_revoke(a, "key_1");
	assert_null(by(a, "x-api-key", "e1"));
	auth_free(a);
}

static void ended_tokens_are_forgotten_in_the_end(void **state)
{
	(void)state;
	struct auth *a = auth_new();
	char secret[32], id[32];
	for (int i = 0; i < 6000; i++) {
		snprintf(secret, sizeof(secret), "t%d", i);
		snprintf(id, sizeof(id), "work_%d", i);
		add(a, AUTH_TOKEN, secret, id, 1);
		auth_end_token(a, id, 1);
	}
	assert_null(by(a, "x-api-key", "t0"));
	assert_int_equal(by(a, "x-api-key", "t5999")->kind, AUTH_ENDED);
	auth_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(either_header_carries_any),
	        cmocka_unit_test(tokens_end_and_keys_are_revoked),
	        cmocka_unit_test(ended_tokens_are_forgotten_in_the_end),
	};
	return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}

// What is taken for a sessions token, and what is not.
#include "worker/token.h"

#include <stdlib.h>

#include "base/encode.h"
#include "unit/unit.h"

static void gives(const char *json, const char *token)
{
	char secret[4096];
	encode_base64url(json, strlen(json), secret);
	char *got = token_from_secret(span_of(secret));
	if (token == NULL)
		assert_null(got);
	else
		assert_string_equal(got, token);
	free(got);
}

static void secrets(void **state)
{
	(void)state;
	gives("{\"sessions_token\":\"sk-ant-req-1\"}", "sk-ant-req-1");
	gives("{\"api_base_url\":\"https://evil.example\",\"sessions_token\":\"t\",\"auth\":{\"x\":[1]}}", "t");
	gives("{\"sessions_token\":\"\"}", NULL);
	gives("{\"sessions_token\":7}", NULL);
	gives("{\"sessions_token\":null}", NULL);
	gives("{}", NULL);
	gives("[\"sessions_token\"]", NULL);
	gives("not json", NULL);
	// It goes into a header field: nothing in it may end the line or the field.
	gives("{\"sessions_token\":\"a\\r\\nX-Evil: 1\"}", NULL);
	gives("{\"sessions_token\":\"a b\"}", NULL);
	gives("{\"sessions_token\":\"\\u00e9\"}", NULL);
}

static void what_is_no_secret(void **state)
{
	(void)state;
	static char huge[40000];
	memset(huge, 'A', sizeof(huge));
	assert_null(token_from_secret((struct span){0}));
	assert_null(token_from_secret(SPAN_LIT("!!!")));
	assert_null(token_from_secret(SPAN_LIT("A")));
	assert_null(token_from_secret(span_from(huge, sizeof(huge))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(secrets), cmocka_unit_test(what_is_no_secret)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

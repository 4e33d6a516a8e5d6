#include <stdlib.h>

#include "base/encode.h"
#include "base/random.h"
#include "unit/unit.h"

static struct err e;

static void test_hex(void **state)
{
	unsigned char out[4];
	char text[ENCODE_HEX_LEN(4)];

	(void)state;
	encode_hex("\x00\x7f\x80\xff", 4, text);
	assert_string_equal(text, "007f80ff");
	assert_false(failed(decode_hex(SPAN_LIT("007F80fF"), out, 4, &e)));
	assert_memory_equal(out, "\x00\x7f\x80\xff", 4);
	assert_true(failed(decode_hex(SPAN_LIT("007f80f"), out, 4, &e)));
	assert_true(failed(decode_hex(SPAN_LIT("007f80f "), out, 4, &e)));
	assert_true(failed(decode_hex(SPAN_LIT("007f80ffff"), out, 4, &e)));
}

// RFC 4648 section 10.
static void test_base64_vectors(void **state)
{
	static const char *const vectors[][2] = {{"", ""},
	                                         {"f", "Zg=="},
	                                         {"fo", "Zm8="},
	                                         {"foo", "Zm9v"},
	                                         {"foob", "Zm9vYg=="},
	                                         {"fooba", "Zm9vYmE="},
	                                         {"foobar", "Zm9vYmFy"}};
	char text[16];
	unsigned char back[16];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		encode_base64(vectors[i][0], strlen(vectors[i][0]), text);
		assert_string_equal(text, vectors[i][1]);
		assert_false(failed(decode_base64(span_of(text), back, &n, &e)));
		assert_int_equal(n, strlen(vectors[i][0]));
		assert_memory_equal(back, vectors[i][0], n);
	}
	encode_base64url("\xfb\xff\xfe\x01", 4, text);
	assert_string_equal(text, "-__-AQ");
	assert_false(failed(decode_base64(span_of(text), back, &n, &e)));
	assert_memory_equal(back, "\xfb\xff\xfe\x01", 4);
}

static void test_base64_refuses(void **state)
{
	static const char *const bad[] = {
	        "A", "AAAAA", "AA=", "A===", "====", "AA==AA==", "AB==", "AAB=", "AA A", "AA\n", "A\x80==", "Zg=", "Zm8=="};
	unsigned char back[16];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(failed(decode_base64(span_of(bad[i]), back, &n, &e)));
}

static void test_round_trips(void **state)
{
	unsigned char in[200], out[203];
	char text[ENCODE_BASE64_LEN(200)];
	size_t n;

	(void)state;
	for (size_t len = 0; len <= sizeof(in); len++) {
		random_bytes(in, len);
		encode_base64(in, len, text);
		assert_false(failed(decode_base64(span_of(text), out, &n, &e)));
		assert_int_equal(n, len);
		assert_memory_equal(in, out, len);
	}
}

static void test_identifiers(void **state)
{
	char one[ID_MAX], two[ID_MAX], secret[SECRET_MAX];

	(void)state;
	id_make(one, "sesn");
	id_make(two, "sesn");
	assert_int_equal(strlen(one), 5 + 26);
	assert_true(strncmp(one, "sesn_", 5) == 0);
	assert_string_not_equal(one, two);
	assert_true(strncmp(one, two, 14) <= 0); // later sorts later, to the millisecond
	secret_make(secret, "sp-api");
	assert_int_equal(strlen(secret), 7 + 43);
	for (int i = 0; i < 1000; i++)
		assert_true(random_below(7) < 7);
	assert_int_equal(random_below(1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hex),
	        cmocka_unit_test(test_base64_vectors),
	        cmocka_unit_test(test_base64_refuses),
	        cmocka_unit_test(test_round_trips),
	        cmocka_unit_test(test_identifiers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

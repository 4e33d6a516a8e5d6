// SHA-256 and HMAC against published vectors, and hashes in text that are not quite right.
#include "unit/unit.h"

#include "audit/hash.h"
#include "base/mem.h"

static void assert_hex(struct hash h, const char *want)
{
	char got[HASH_HEX_LEN];
	hash_hex(&h, got);
	assert_string_equal(got, want);
}

static void test_sha256(void **state)
{
	(void)state;
	assert_hex(hash_sha256(SPAN_LIT("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_hex(hash_sha256(span_from(NULL, 0)), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// RFC 4231's key of case 2 is shorter than ours may be: this is HMAC under a key of 32 bytes 0x0b, computed with openssl.
static void test_mac_in_pieces(void **state)
{
	(void)state;
	unsigned char key[HASH_LEN];
	memset(key, 0x0b, sizeof(key));
	const char text[] = "Hi There";
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct hash_mac *m = hash_mac_new(key);
		hash_mac_add(m, span_from(text, cut));
		hash_mac_add(m, span_from(text + cut, sizeof(text) - 1 - cut));
		assert_hex(hash_mac_finish(&m), "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7");
		assert_null(m);
	}
	struct hash_mac *unused = hash_mac_new(key);
	hash_mac_free(&unused);
	hash_mac_free(&unused);
}

static void test_text_is_strict(void **state)
{
	(void)state;
	struct hash h, again;
	char text[HASH_BASE64_LEN];
	h = hash_sha256(SPAN_LIT("x"));
	hash_base64(&h, text);
	assert_false(failed(hash_from_base64(span_of(text), &again, NULL)));
	assert_true(hash_eq(&h, &again));
	static const char *const bad[] = {"",
	                                  "TL2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL/X4YXMT0",
	                                  "TL2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL_X4YXMT0=",
	                                  "TL2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL/X4YXMT1=",
	                                  "TL2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL/X4YXMT==",
	                                  " L2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL/X4YXMT0="};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(failed(hash_from_base64(span_of(bad[i]), &h, NULL)));
	const char *hex = "4cbd8e35849450400d4e9c4c0ae7f71c79ad4410f9ad2c624622ff5f8617313d";
	assert_false(failed(hash_from_hex(span_of(hex), &h, NULL)));
	assert_true(
	        failed(hash_from_hex(SPAN_LIT("4CBD8E35849450400d4e9c4c0ae7f71c79ad4410f9ad2c624622ff5f8617313d"), &h, NULL)));
	assert_true(failed(hash_from_hex(span_head(span_of(hex), 62), &h, NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_sha256),
	        cmocka_unit_test(test_mac_in_pieces),
	        cmocka_unit_test(test_text_is_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

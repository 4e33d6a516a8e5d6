// Signed notes and checkpoints: known vectors, and every way a note can be wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "audit/checkpoint.h"
#include "base/encode.h"

#define DASH "\xe2\x80\x94 "
#define VKEY "perimeter.example/audit+678d6714+AXm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk"
#define CHECKPOINT                                                                          \
	"perimeter.example/audit\n7\nTL2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL/X4YXMT0=\n\n" DASH \
	"perimeter.example/audit "                                                          \
	"Z41nFJEXKdU9C1QKj31fwjklikr3rMf6BmtaFw392Qa0hdANbBNx67Z2eZU/xgx34PcX7pc3NfH6k8ApzCow+xd8dwM=\n"
#define WITNESS_LINE               \
	DASH "witness.example/w1 " \
	     "e+3p3wAAAABrBSfgrvfgbm4NiGhqn4QjhYZ1pm1a2rkss00k+zl7MJboThPlWNKzAuR4xlnUEGw5uE0b4akMS8Qb+CtMtHek0iInCQ==\n"

// The test key of the vectors: a seed of the bytes 1 to 32.
static struct note_signer test_signer(const char *name)
{
	struct note_signer s;
	unsigned char seed[32], pub[32];
	size_t n = sizeof(pub);
	for (unsigned i = 0; i < 32; i++)
		seed[i] = (unsigned char)(i + 1);
	s.key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
	assert_int_equal(EVP_PKEY_get_raw_public_key(s.key, pub, &n), 1);
	assert_false(failed(note_verifier_init(&s.v, span_of(name), pub, NULL)));
	return s;
}

static struct note_verifier verifier(const char *vkey)
{
	struct note_verifier v;
	assert_false(failed(note_vkey_parse(span_of(vkey), &v, NULL)));
	return v;
}

static void test_vkey(void **state)
{
	(void)state;
	struct note_signer s = test_signer("perimeter.example/audit");
	char vkey[NOTE_VKEY_MAX];
	note_vkey_format(&s.v, vkey);
	assert_string_equal(vkey, VKEY);
	struct note_verifier v = verifier(VKEY); // its base64 holds '+' itself
	assert_memory_equal(v.key, s.v.key, 32);
	note_signer_fini(&s);
	static const char *const bad[] = {"",
	                                  "name",
	                                  "name+678d6714",
	                                  "perimeter.example/audit+678d6715+AXm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk",
	                                  "other+678d6714+AXm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk",
	                                  "a b+678d6714+AXm1Vi6P5lT5QHixEuipi6eQ",
	                                  "perimeter.example/audit+678d6714+AnrVVi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk",
	                                  "++"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(failed(note_vkey_parse(span_of(bad[i]), &v, NULL)));
}

static void test_specification_vector(void **state)
{
	(void)state;
	struct note_verifier v = verifier("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
	struct span text;
	assert_false(failed(note_open(SPAN_LIT("This is an example message.\n\n" DASH "example.com/foo "
	                                       "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHj"
	                                       "G1Yu72IneyaQM=\n"),
	                              &v, &text, NULL)));
	assert_true(span_is(text, "This is an example message.\n"));
}

static void test_checkpoint_vector(void **state)
{
	(void)state;
	struct note_signer s = test_signer("perimeter.example/audit");
	struct checkpoint c;
	assert_false(failed(checkpoint_open(SPAN_LIT(CHECKPOINT), &s.v, &c, NULL)));
	assert_int_equal(c.size, 7);
	struct buf out;
	buf_init(&out, NOTE_MAX);
	assert_false(failed(checkpoint_sign(&c, &s, &out, NULL)));
	assert_string_equal(buf_str(&out), CHECKPOINT);
	buf_fini(&out);
	note_signer_fini(&s);
}

static void test_unknown_signatures_are_ignored(void **state)
{
	(void)state;
	struct note_verifier v = verifier(VKEY);
	struct checkpoint c;
	assert_false(failed(checkpoint_open(SPAN_LIT(CHECKPOINT WITNESS_LINE), &v, &c, NULL)));
	struct buf many;
	buf_init(&many, NOTE_MAX);
	assert_true(buf_add_str(&many, CHECKPOINT));
	for (int i = 1; i < 16; i++)
		assert_true(buf_add_str(&many, WITNESS_LINE));
	assert_false(failed(checkpoint_open(buf_span(&many), &v, &c, NULL)));
	for (int i = 0; i < NOTE_SIGNATURES_MAX; i++)
		assert_true(buf_add_str(&many, WITNESS_LINE));
	assert_true(failed(checkpoint_open(buf_span(&many), &v, &c, NULL)));
	buf_fini(&many);
}

// Turning any one bit of the note must break it: nothing in it is free to change.
static void test_every_bit_counts(void **state)
{
	(void)state;
	struct note_verifier v = verifier(VKEY);
	char note[] = CHECKPOINT;
	struct checkpoint c;
	for (size_t i = 0; i < sizeof(note) - 1; i++) {
		for (int bit = 0; bit < 8; bit++) {
			note[i] = (char)(note[i] ^ 1 << bit);
			assert_true(failed(checkpoint_open(span_from(note, sizeof(note) - 1), &v, &c, NULL)));
			note[i] = (char)(note[i] ^ 1 << bit);
		}
	}
	for (size_t n = 0; n < sizeof(note) - 1; n++)
		assert_true(failed(checkpoint_open(span_from(note, n), &v, &c, NULL)));
}

static void assert_text_refused(const char *text)
{
	struct note_signer s = test_signer("log.example");
	struct buf note;
	struct checkpoint c;
	buf_init(&note, NOTE_MAX);
	assert_false(failed(note_sign(&s, span_of(text), &note, NULL)));
	assert_true(failed(checkpoint_open(buf_span(&note), &s.v, &c, NULL)));
	buf_fini(&note);
	note_signer_fini(&s);
}

#define ROOT "TL2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL/X4YXMT0="

static void test_signed_but_not_a_checkpoint(void **state)
{
	(void)state;
	assert_text_refused("hello\n");
	assert_text_refused("log.example\n7\n");
	assert_text_refused("other.example\n7\n" ROOT "\n");
	assert_text_refused("log.example\n07\n" ROOT "\n");
	assert_text_refused("log.example\n-7\n" ROOT "\n");
	assert_text_refused("log.example\n\n" ROOT "\n");
	assert_text_refused("log.example\n18446744073709551616\n" ROOT "\n");
	assert_text_refused("log.example\n7\nTL2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL_X4YXMT0=\n");
	assert_text_refused("log.example\n7\nTL2ONYSUUEANTpxMCuf3HHmtRBD5rSxiRiL/X4YXMT1=\n");
	assert_text_refused("log.example\n7\nTL2ONYSUUEANTpxMCuf3\n");
	assert_text_refused("log.example\n7\n" ROOT "\n\nmore\n");
}

static void test_malformed_signature_lines(void **state)
{
	(void)state;
	struct note_verifier v = verifier(VKEY);
	struct checkpoint c;
	static const char *const bad[] = {"x\n",
	                                  DASH "\n",
	                                  DASH "name\n",
	                                  DASH "name !!!!\n",
	                                  DASH "na+me AAAAAAAA\n",
	                                  DASH "name AAAA\n",
	                                  "- name AAAAAAAA\n",
	                                  "\n",
	                                  "\x01\n",
	                                  "\xff\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf note;
		buf_init(&note, NOTE_MAX);
		assert_true(buf_add_str(&note, CHECKPOINT) && buf_add_str(&note, bad[i]));
		assert_true(failed(checkpoint_open(buf_span(&note), &v, &c, NULL)));
		buf_fini(&note);
	}
}

static void test_names(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
	                                  "a b",
	                                  "a+b",
	                                  "a\tb",
	                                  ("a\xc2\xa0"
	                                   "b"),
	                                  "a\xe3\x80\x80",
	                                  "\xff"};
	struct note_verifier v;
	unsigned char key[32] = {0};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(failed(note_verifier_init(&v, span_of(bad[i]), key, NULL)));
	assert_false(failed(note_verifier_init(&v, SPAN_LIT("sallyport/h\xc3\xb6st"), key, NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_vkey),
	        cmocka_unit_test(test_specification_vector),
	        cmocka_unit_test(test_checkpoint_vector),
	        cmocka_unit_test(test_unknown_signatures_are_ignored),
	        cmocka_unit_test(test_every_bit_counts),
	        cmocka_unit_test(test_signed_but_not_a_checkpoint),
	        cmocka_unit_test(test_malformed_signature_lines),
	        cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

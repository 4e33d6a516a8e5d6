#include "audit/note.h"

#include <openssl/pem.h>

#include "audit/hash.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define ED25519 1
#define SIGNATURE_LEN 64
#define DASH "\xe2\x80\x94 "
#define LINE_BYTES_MAX 4096 // other algorithms' signatures (ML-DSA-44) are larger than ours, and must not break the note

// Unicode's White_Space beyond ASCII, in UTF-8.
static const char *const wide_spaces[] = {
        "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83",
        "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a",
        "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
};

static bool name_ok(struct span name)
{
	if (name.len == 0 || name.len > NOTE_NAME_MAX || !span_is_utf8(name))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if ((unsigned char)name.data[i] <= 0x20 || name.data[i] == '+' || name.data[i] == 0x7f)
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(wide_spaces); i++) {
		if (memmem(name.data, name.len, wide_spaces[i], strlen(wide_spaces[i])) != NULL)
			return false;
	}
	return true;
}

// First four bytes of SHA-256(name || newline || 1 || key).
static void key_id(struct span name, const unsigned char key[32], unsigned char out[4])
{
	char text[NOTE_NAME_MAX + 2 + 32];
	memcpy(text, name.data, name.len);
	text[name.len] = '\n';
	text[name.len + 1] = ED25519;
	memcpy(text + name.len + 2, key, 32);
	struct hash h = hash_sha256(span_from(text, name.len + 2 + 32));
	memcpy(out, h.b, 4);
}

struct result note_verifier_init(struct note_verifier *v, struct span name, const unsigned char key[32], struct err *e)
{
	if (!name_ok(name))
		return err_set(e, ERR_INVALID,
		               "%s is not a log's name: 1 to %d bytes of UTF-8 without spaces, controls and '+' are",
		               LOG_Q(name), NOTE_NAME_MAX);
	memcpy(v->name, name.data, name.len);
	v->name[name.len] = '\0';
	memcpy(v->key, key, 32);
	key_id(name, key, v->id);
	return OK;
}

struct result note_vkey_parse(struct span vkey, struct note_verifier *out, struct err *e)
{
	struct span name, id_hex, key64;
	unsigned char id[4], key[64];
	size_t n;
	if (!span_cut(vkey, '+', &name, &key64) || !span_cut(key64, '+', &id_hex, &key64) || key64.len > 64)
		return err_set(e, ERR_INVALID, "a verifier key has the form name+id+key, as in the log's log.vkey");
	TRY(decode_hex(id_hex, id, sizeof(id), e));
	TRY(decode_base64(key64, key, &n, e));
	if (n != 33 || key[0] != ED25519)
		return err_set(e, ERR_INVALID, "the verifier key is not an Ed25519 key (type 1 and 32 bytes)");
	TRY(note_verifier_init(out, name, key + 1, e));
	if (memcmp(id, out->id, sizeof(id)) != 0)
		return err_set(e, ERR_INVALID,
		               "the verifier key's id does not belong to its name and key: copied incompletely?");
	return OK;
}

void note_vkey_format(const struct note_verifier *v, char out[NOTE_VKEY_MAX])
{
	unsigned char typed[33] = {ED25519};
	char id[ENCODE_HEX_LEN(4)], key[ENCODE_BASE64_LEN(33)];
	memcpy(typed + 1, v->key, 32);
	encode_hex(v->id, 4, id);
	encode_base64(typed, sizeof(typed), key);
	snprintf(out, NOTE_VKEY_MAX, "%s+%s+%s", v->name, id, key);
}

struct result note_signer_load(struct note_signer *s, struct span name, const char *pem_path, struct err *e)
{
	struct buf pem;
	buf_init(&pem, 16384);
	if (failed(file_read_secret(pem_path, &pem, e))) {
		buf_fini(&pem);
		return FAIL;
	}
	BIO *bio = BIO_new_mem_buf(pem.mem + pem.start, (int)buf_len(&pem));
	BUG_ON(bio == NULL);
	char no_password[] = "";
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password);
	BIO_free(bio);
	mem_wipe(pem.mem, pem.cap);
	buf_fini(&pem);
	unsigned char raw[32];
	size_t n = sizeof(raw);
	if (key == NULL || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(key, raw, &n) != 1) {
		EVP_PKEY_free(key);
		return err_set(e, ERR_INVALID,
		               "%s: not an Ed25519 private key in PEM; make one: openssl genpkey -algorithm ed25519 -out %s",
		               pem_path, pem_path);
	}
	if (failed(note_verifier_init(&s->v, name, raw, e))) {
		EVP_PKEY_free(key);
		return FAIL;
	}
	s->key = key;
	return OK;
}

void note_signer_fini(struct note_signer *s)
{
	EVP_PKEY_free(s->key);
	s->key = NULL;
}

static bool text_ok(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.data[i] < 0x20 && text.data[i] != '\n')
			return false;
	}
	return text.len > 0 && text.data[text.len - 1] == '\n' && span_is_utf8(text);
}

struct result note_sign(const struct note_signer *s, struct span text, struct buf *out, struct err *e)
{
	unsigned char line[4 + SIGNATURE_LEN];
	size_t n = SIGNATURE_LEN;
	BUG_ON(!text_ok(text));
	memcpy(line, s->v.id, 4);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	BUG_ON(ctx == NULL || EVP_DigestSignInit(ctx, NULL, NULL, NULL, s->key) != 1 ||
	       EVP_DigestSign(ctx, line + 4, &n, (const unsigned char *)text.data, text.len) != 1 || n != SIGNATURE_LEN);
	EVP_MD_CTX_free(ctx);
	char line64[ENCODE_BASE64_LEN(sizeof(line))];
	encode_base64(line, sizeof(line), line64);
	if (!buf_add(out, text) || !buf_printf(out, "\n" DASH "%s %s\n", s->v.name, line64))
		return err_set(e, ERR_TOO_LARGE, "a note of more than %zu bytes", out->max);
	return OK;
}

static bool signature_holds(const struct note_verifier *v, struct span text, const unsigned char *signature, size_t n)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, v->key, sizeof(v->key));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	BUG_ON(ctx == NULL);
	bool good = key != NULL && n == SIGNATURE_LEN && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	            EVP_DigestVerify(ctx, signature, n, (const unsigned char *)text.data, text.len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return good;
}

// One signature line without its newline. *ours tells whether it verified under `v`.
static struct result check_line(struct span line, struct span text, const struct note_verifier *v, bool *ours, struct err *e)
{
	struct span name, sig64;
	unsigned char sig[LINE_BYTES_MAX];
	size_t n;
	if (!span_starts(line, DASH) || !span_cut(span_skip(line, strlen(DASH)), ' ', &name, &sig64) || !name_ok(name) ||
	    sig64.len > LINE_BYTES_MAX || failed(decode_base64(sig64, sig, &n, NULL)) || n < 5)
		return err_set(e, ERR_INVALID, "the note has a malformed signature line");
	if (!span_eq(name, span_from(v->name, strlen(v->name))) || memcmp(sig, v->id, 4) != 0)
		return OK;
	if (!signature_holds(v, text, sig + 4, n - 4))
		return err_set(e, ERR_CORRUPT, "the signature by %s does not verify", v->name);
	*ours = true;
	return OK;
}

struct result note_open(struct span note, const struct note_verifier *v, struct span *text, struct err *e)
{
	if (note.len > NOTE_MAX)
		return err_set(e, ERR_TOO_LARGE, "a note of more than %d bytes", NOTE_MAX);
	const char *blank = note.len < 2 ? NULL : memrchr(note.data, '\n', note.len);
	// Text and signatures part at the last blank line.
	while (blank != NULL && blank > note.data && blank[-1] != '\n')
		blank = memrchr(note.data, '\n', (size_t)(blank - note.data));
	if (blank == NULL || blank == note.data || !text_ok(note))
		return err_set(e, ERR_INVALID, "not a signed note: text, a blank line, and lines of signatures");
	struct span signed_text = span_from(note.data, (size_t)(blank - note.data));
	struct span rest = span_skip(note, signed_text.len + 1);
	bool ours = false;
	size_t lines = 0;
	while (rest.len > 0) {
		struct span line;
		if (++lines > NOTE_SIGNATURES_MAX)
			return err_set(e, ERR_INVALID, "a note with more than %d signatures", NOTE_SIGNATURES_MAX);
		span_cut(rest, '\n', &line, &rest);
		TRY(check_line(line, signed_text, v, &ours, e));
	}
	if (!ours)
		return err_set(e, ERR_CORRUPT, "not signed by %s with the key at hand", v->name);
	*text = signed_text;
	return OK;
}

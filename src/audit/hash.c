#include "audit/hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>

#include "base/encode.h"
#include "base/mem.h"

// Fetched once: a fetch costs more than hashing an entry.
static EVP_MD *sha256;
static EVP_MAC *hmac;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	BUG_ON(sha256 == NULL || hmac == NULL);
}

static struct hash digest(const struct span *parts, size_t n)
{
	pthread_once(&fetched, fetch);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	BUG_ON(ctx == NULL || EVP_DigestInit_ex2(ctx, sha256, NULL) != 1);
	for (size_t i = 0; i < n; i++)
		BUG_ON(parts[i].len > 0 && EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1);
	struct hash h;
	BUG_ON(EVP_DigestFinal_ex(ctx, h.b, NULL) != 1);
	EVP_MD_CTX_free(ctx);
	return h;
}

struct hash hash_sha256(struct span data)
{
	return digest(&data, 1);
}

struct hash hash_leaf(struct span entry)
{
	const struct span parts[] = {{"\x00", 1}, entry};
	return digest(parts, ARRAY_LEN(parts));
}

struct hash hash_node(const struct hash *left, const struct hash *right)
{
	const struct span parts[] = {{"\x01", 1}, {(const char *)left->b, HASH_LEN}, {(const char *)right->b, HASH_LEN}};
	return digest(parts, ARRAY_LEN(parts));
}

bool hash_eq(const struct hash *a, const struct hash *b)
{
	return memcmp(a->b, b->b, HASH_LEN) == 0;
}

void hash_hex(const struct hash *h, char out[HASH_HEX_LEN])
{
	encode_hex(h->b, HASH_LEN, out);
}

void hash_base64(const struct hash *h, char out[HASH_BASE64_LEN])
{
	encode_base64(h->b, HASH_LEN, out);
}

struct result hash_from_base64(struct span text, struct hash *out, struct err *e)
{
	unsigned char bytes[HASH_BASE64_LEN + 3];
	char again[HASH_BASE64_LEN];
	size_t n;
	if (text.len != HASH_BASE64_LEN - 1)
		return err_set(e, ERR_INVALID, "a hash in base64 has %d characters, not %zu", HASH_BASE64_LEN - 1, text.len);
	TRY(decode_base64(text, bytes, &n, e));
	if (n != HASH_LEN)
		return err_set(e, ERR_INVALID, "a hash has %d bytes, not %zu", HASH_LEN, n);
	encode_base64(bytes, n, again);
	if (!span_is(text, again))
		return err_set(e, ERR_INVALID, "a hash that is not in canonical base64");
	memcpy(out->b, bytes, HASH_LEN);
	return OK;
}

struct result hash_from_hex(struct span text, struct hash *out, struct err *e)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] >= 'A' && text.data[i] <= 'F')
			return err_set(e, ERR_INVALID, "a hash in capital hex digits");
	}
	return decode_hex(text, out->b, HASH_LEN, e);
}

struct hash_mac *hash_mac_new(const unsigned char key[HASH_LEN])
{
	pthread_once(&fetched, fetch);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);
	char name[] = "SHA256";
	const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
	                             OSSL_PARAM_construct_end()};
	BUG_ON(ctx == NULL || EVP_MAC_init(ctx, key, HASH_LEN, params) != 1);
	return (struct hash_mac *)ctx;
}

void hash_mac_add(struct hash_mac *m, struct span bytes)
{
	BUG_ON(bytes.len > 0 && EVP_MAC_update((EVP_MAC_CTX *)m, (const unsigned char *)bytes.data, bytes.len) != 1);
}

struct hash hash_mac_finish(struct hash_mac **m)
{
	struct hash h;
	size_t n;
	BUG_ON(EVP_MAC_final((EVP_MAC_CTX *)*m, h.b, &n, HASH_LEN) != 1 || n != HASH_LEN);
	hash_mac_free(m);
	return h;
}

void hash_mac_free(struct hash_mac **m)
{
	EVP_MAC_CTX_free((EVP_MAC_CTX *)*m);
	*m = NULL;
}

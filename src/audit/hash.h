// SHA-256 as the log uses it: tree hashes (RFC 6962 section 2.1), chain hashes, and MACs of payloads.
//
// All of it is safe to call from any thread.
#ifndef SALLYPORT_AUDIT_HASH_H
#define SALLYPORT_AUDIT_HASH_H

#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

#define HASH_LEN 32
#define HASH_HEX_LEN (2 * HASH_LEN + 1)
#define HASH_BASE64_LEN 45

struct hash {
	unsigned char b[HASH_LEN];
};

struct hash hash_sha256(struct span data);
struct hash hash_leaf(struct span entry);                                 // SHA-256(0x00 || entry)
struct hash hash_node(const struct hash *left, const struct hash *right); // SHA-256(0x01 || left || right)
bool hash_eq(const struct hash *a, const struct hash *b);

void hash_hex(const struct hash *h, char out[HASH_HEX_LEN]);
void hash_base64(const struct hash *h, char out[HASH_BASE64_LEN]);

// Only the one canonical spelling (padded, standard alphabet) is accepted; ERR_INVALID otherwise.
MUST_USE struct result hash_from_base64(struct span text, struct hash *out, struct err *e);
MUST_USE struct result hash_from_hex(struct span text, struct hash *out, struct err *e); // 64 lowercase digits

// HMAC-SHA-256 of bytes that come in pieces.
struct hash_mac;
struct hash_mac *hash_mac_new(const unsigned char key[HASH_LEN]);
void hash_mac_add(struct hash_mac *m, struct span bytes);
struct hash hash_mac_finish(struct hash_mac **m); // frees
void hash_mac_free(struct hash_mac **m);          // NULL is fine

#endif

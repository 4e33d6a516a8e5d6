// Signed notes (C2SP signed-note v1.0.0): a text, a blank line, and signature lines "— name base64(key id || signature)".
//
// Only Ed25519 (signature type 1) is made and checked. Lines of unknown keys are ignored, as the specification asks.
#ifndef SALLYPORT_AUDIT_NOTE_H
#define SALLYPORT_AUDIT_NOTE_H

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define NOTE_MAX 65536
#define NOTE_NAME_MAX 255
#define NOTE_VKEY_MAX (NOTE_NAME_MAX + 64)
#define NOTE_SIGNATURES_MAX 64

// The public half of a key, and the name it signs under.
struct note_verifier {
	char name[NOTE_NAME_MAX + 1];
	unsigned char id[4];
	unsigned char key[32];
};

struct note_signer {
	struct note_verifier v;
	EVP_PKEY *key;
};

// A key's name: not empty, at most NOTE_NAME_MAX bytes of UTF-8 without spaces, controls and '+'.
MUST_USE struct result note_verifier_init(struct note_verifier *v, struct span name, const unsigned char key[32],
                                          struct err *e);

// "name+hex8(id)+base64(1 || key)"; the id must be the one that follows from name and key.
MUST_USE struct result note_vkey_parse(struct span vkey, struct note_verifier *out, struct err *e);
void note_vkey_format(const struct note_verifier *v, char out[NOTE_VKEY_MAX]);

// The private key from a PEM file (PKCS #8, Ed25519) that others can't read. note_signer_fini frees it.
MUST_USE struct result note_signer_load(struct note_signer *s, struct span name, const char *pem_path, struct err *e);
void note_signer_fini(struct note_signer *s);

// Appends the whole note for `text` (which ends in a newline and holds no control character but newlines).
MUST_USE struct result note_sign(const struct note_signer *s, struct span text, struct buf *out, struct err *e);

// Checks the note's form and every signature of `v`: one that fails, or none, is ERR_CORRUPT; a malformed note ERR_INVALID.
// *text (borrowed from `note`) is what was signed.
MUST_USE struct result note_open(struct span note, const struct note_verifier *v, struct span *text, struct err *e);

#endif

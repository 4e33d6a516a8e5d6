// Hex and base64 (RFC 4648 sections 4, 5 and 8), strict in both directions.
#ifndef SALLYPORT_BASE_ENCODE_H
#define SALLYPORT_BASE_ENCODE_H

#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

#define ENCODE_HEX_LEN(n) (2 * (n) + 1)
#define ENCODE_BASE64_LEN(n) (((n) + 2) / 3 * 4 + 1)

// Lowercase, NUL-terminated; `out` has ENCODE_HEX_LEN(n) bytes.
void encode_hex(const void *bytes, size_t n, char *out);

// Padded, NUL-terminated; `out` has ENCODE_BASE64_LEN(n) bytes.
void encode_base64(const void *bytes, size_t n, char *out);

// The url alphabet without padding.
void encode_base64url(const void *bytes, size_t n, char *out);

// Exactly 2 * n hex digits of either case into `out`. ERR_INVALID otherwise.
MUST_USE struct result decode_hex(struct span text, void *out, size_t n, struct err *e);

// Either alphabet, padded or not, no white space, unused bits zero. `out` has room for text.len / 4 * 3 + 3 bytes.
MUST_USE struct result decode_base64(struct span text, void *out, size_t *n, struct err *e);

#endif

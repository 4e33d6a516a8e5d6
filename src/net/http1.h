// HTTP/1.1 request heads, strict (RFC 9112; the server's half). Sans-I/O: bytes in, a parsed head out.
//
// Refused rather than guessed at: obs-fold, white space before a colon, bare CR or LF, NUL or controls in values, a second
// Host or Content-Length, Content-Length together with Transfer-Encoding, any transfer coding but a lone "chunked", HTTP/0.9,
// a target that is not origin-form (absolute-form is taken when its authority equals Host). So no two parsers can disagree.
#ifndef SALLYPORT_NET_HTTP1_H
#define SALLYPORT_NET_HTTP1_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define HTTP1_HEAD_MAX 32768
#define HTTP1_FIELDS_MAX 100

struct http1_field {
	struct span name; // as sent; compare with span_is_nocase
	struct span value;
};

struct http1_request {
	struct span method;
	struct span target; // as sent
	struct span path;   // up to '?', percent-encoded as sent
	struct span query;  // behind '?', empty without one
	int minor;          // HTTP/1.minor: 0 or 1
	struct http1_field fields[HTTP1_FIELDS_MAX];
	size_t n_fields;
	bool chunked;
	bool has_length;
	uint64_t length; // Content-Length, when has_length
	bool keep_alive;
	bool expect_continue;
};

enum http1_progress { HTTP1_MORE, HTTP1_DONE, HTTP1_BAD };

// Parses a head at the start of `in`. HTTP1_DONE: *used is its length; spans point into `in`. HTTP1_MORE: incomplete and
// within HTTP1_HEAD_MAX so far. HTTP1_BAD: `status` is what to answer (400, 414, 431, 501, 505), `e` says why.
enum http1_progress http1_parse_request(struct span in, struct http1_request *r, size_t *used, int *status, struct err *e);

// The value of the only field of that name, empty if absent. (Fields that may repeat are not asked for here.)
struct span http1_field_get(const struct http1_request *r, const char *name);

// A chunked body's decoder (RFC 9112 section 7.1); zero-initialise. Appends decoded bytes to `out`, consumes from `in`.
// HTTP1_DONE after the last chunk and its (discarded) trailers; HTTP1_BAD also when `out` would pass its maximum, with
// ERR_TOO_LARGE in `e`.
struct http1_chunks {
	int state;
	uint64_t left;
	size_t line;
};
enum http1_progress http1_chunks_decode(struct http1_chunks *c, struct buf *in, struct buf *out, struct err *e);

// The next `name=value` of a query, percent-decoded into `name` and `value` (both cleared first; '+' stays '+'). False at
// the end. A malformed escape fails with ERR_INVALID.
MUST_USE struct result http1_query_next(struct span *rest, struct buf *name, struct buf *value, bool *more, struct err *e);

// Percent-decodes a path segment. ERR_INVALID on a malformed escape or a decoded NUL or '/'.
MUST_USE struct result http1_decode_segment(struct span in, struct buf *out, struct err *e);

#endif

// A borrowed run of bytes, by value. It owns nothing and is not NUL-terminated.
#ifndef SALLYPORT_BASE_SPAN_H
#define SALLYPORT_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

struct span {
	const char *data;
	size_t len;
};

#define SPAN_LIT(s) ((struct span){(s), sizeof(s) - 1})
#define SPAN_FMT(s) (int)(s).len, (s).data // for "%.*s"; spans longer than INT_MAX never exist here

static inline struct span span_of(const char *s)
{
	return (struct span){s, s == NULL ? 0 : strlen(s)};
}

static inline struct span span_from(const char *data, size_t len)
{
	return (struct span){data, len};
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
	return span_eq(a, span_of(s));
}

static inline bool span_is_nocase(struct span a, const char *s)
{
	return a.len == strlen(s) && strncasecmp(a.data, s, a.len) == 0;
}

static inline bool span_starts(struct span a, const char *prefix)
{
	size_t n = strlen(prefix);
	return a.len >= n && memcmp(a.data, prefix, n) == 0;
}

static inline struct span span_skip(struct span a, size_t n)
{
	size_t skip = n < a.len ? n : a.len;
	return skip == 0 ? a : (struct span){a.data + skip, a.len - skip}; // an empty span's data may be NULL
}

static inline struct span span_head(struct span a, size_t n)
{
	return (struct span){a.data, n < a.len ? n : a.len};
}

// Without leading and trailing spaces and tabs.
struct span span_trim(struct span a);

// Splits at the first `sep`: *head gets what stands before, *rest what follows. False (all in *head) without one.
bool span_cut(struct span a, char sep, struct span *head, struct span *rest);

// A decimal number of digits only, without sign or spaces, at most `max`. Fails with ERR_INVALID naming `what`.
MUST_USE struct result span_to_u64(struct span a, uint64_t max, const char *what, uint64_t *out, struct err *e);

// A NUL-terminated copy, which the caller frees.
char *span_dup(struct span a);

// Equal in a time that depends on the lengths alone.
bool span_eq_secret(struct span a, struct span b);

// The length, 1 to 4, of the well-formed UTF-8 sequence at the start of a non-empty span; 0 when there is none.
size_t span_utf8_len(struct span a);

// True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool span_is_utf8(struct span a);
bool span_is_visible(struct span a); // ASCII from '!' to '~' and nothing else

#endif

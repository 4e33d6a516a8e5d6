// A growable run of bytes with a maximum, given when it is made. Bytes enter at the tail and leave at the head.
//
// Appending over the maximum fails and leaves the buffer as it was; what to do then is the caller's protocol's question.
#ifndef SALLYPORT_BASE_BUF_H
#define SALLYPORT_BASE_BUF_H

#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

struct buf {
	char *mem;
	size_t start; // first live byte
	size_t end;   // one past the last live byte
	size_t cap;
	size_t max;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b); // frees; the buffer is empty and usable again with the same maximum
#define AUTO_BUF __attribute__((cleanup(buf_fini)))

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){b->mem == NULL ? "" : b->mem + b->start, b->end - b->start};
}

// The content as a NUL-terminated string, valid until the next change. (One byte more is always reserved.)
const char *buf_str(struct buf *b);

// Room for at least `want` more bytes at the tail; returns where to write, then buf_commit tells how many were written.
// NULL when the maximum would be passed.
char *buf_reserve(struct buf *b, size_t want);
void buf_commit(struct buf *b, size_t written);

MUST_USE bool buf_add(struct buf *b, struct span bytes);
MUST_USE bool buf_add_str(struct buf *b, const char *s);
MUST_USE bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

// Drops `n` bytes from the head.
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b);

// Gives the memory away as a NUL-terminated heap string (length in *len, which may be NULL); the buffer is empty afterwards.
char *buf_take(struct buf *b, size_t *len);

#endif

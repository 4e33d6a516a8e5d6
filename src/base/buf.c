#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void buf_init(struct buf *b, size_t max)
{
	BUG_ON(max > SIZE_MAX / 4);
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	free(b->mem);
	*b = (struct buf){.max = b->max};
}

char *buf_reserve(struct buf *b, size_t want)
{
	size_t len = buf_len(b);
	if (want > b->max || len > b->max - want)
		return NULL;
	if (b->end + want + 1 <= b->cap)
		return b->mem + b->end;
	// Moving what is left is only worth it when it makes as much room as it moves; so a long queue that is eaten in small
	// bites costs a constant time for each byte, for at most twice the memory.
	if (b->start > 0 && b->start >= len) {
		memmove(b->mem, b->mem + b->start, len);
		b->start = 0;
		b->end = len;
	}
	size_t needed = b->end + want + 1;
	if (needed > b->cap) {
		size_t limit = (b->start == 0 ? b->max : 2 * b->max) + 1; // `needed` is within it
		size_t cap = b->cap < 128 ? 256 : b->cap * 2;
		if (cap > limit)
			cap = limit;
		if (cap < needed)
			cap = needed;
		b->mem = mem_grow(b->mem, cap, 1);
		b->cap = cap;
	}
	return b->mem + b->end;
}

void buf_commit(struct buf *b, size_t written)
{
	BUG_ON(written > b->cap - b->end);
	b->end += written;
}

const char *buf_str(struct buf *b)
{
	if (b->mem == NULL)
		return "";
	b->mem[b->end] = '\0';
	return b->mem + b->start;
}

bool buf_add(struct buf *b, struct span bytes)
{
	char *to = buf_reserve(b, bytes.len);
	if (to == NULL)
		return false;
	if (bytes.len > 0)
		memcpy(to, bytes.data, bytes.len);
	b->end += bytes.len;
	return true;
}

bool buf_add_str(struct buf *b, const char *s)
{
	return buf_add(b, span_of(s));
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	char *to = buf_reserve(b, (size_t)n);
	if (to != NULL) {
		vsnprintf(to, (size_t)n + 1, fmt, again);
		b->end += (size_t)n;
	}
	va_end(again);
	return to != NULL;
}

void buf_consume(struct buf *b, size_t n)
{
	BUG_ON(n > buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buf_clear(struct buf *b)
{
	b->start = b->end = 0;
}

char *buf_take(struct buf *b, size_t *len)
{
	size_t n = buf_len(b);
	if (b->mem == NULL)
		b->mem = mem_alloc(1);
	else if (b->start > 0)
		memmove(b->mem, b->mem + b->start, n);
	b->mem[n] = '\0';
	if (len != NULL)
		*len = n;
	char *out = b->mem;
	*b = (struct buf){.max = b->max};
	return out;
}

#include "tools/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK ((size_t)64 << 10)

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	max_align_t bytes[];
};

void *arena_alloc(struct arena *a, size_t n)
{
	n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	struct arena_chunk *c = a->chunks;
	if (c == NULL || c->size - c->used < n) {
		size_t size = n > CHUNK ? n : CHUNK;
		c = mem_zero(sizeof(*c) + size);
		c->size = size;
		c->next = a->chunks;
		a->chunks = c;
	}
	void *p = (char *)c->bytes + c->used;
	c->used += n;
	a->used += n;
	return p;
}

char *arena_text(struct arena *a, struct span text)
{
	char *s = arena_alloc(a, text.len + 1);
	if (text.len > 0)
		memcpy(s, text.data, text.len);
	return s;
}

void arena_fini(struct arena *a)
{
	while (a->chunks != NULL) {
		struct arena_chunk *next = a->chunks->next;
		free(a->chunks);
		a->chunks = next;
	}
	a->used = 0;
}

// Doubles `cap` and moves `count` items of `size` bytes.
static void *grown(struct arena *a, void *items, size_t count, size_t *cap, size_t size)
{
	*cap = *cap == 0 ? 8 : *cap * 2;
	void *more = arena_alloc(a, *cap * size);
	if (count > 0)
		memcpy(more, items, count * size);
	return more;
}

void arena_push(struct arena *a, struct arena_list *l, void *item)
{
	if (l->count == l->cap)
		l->items = grown(a, l->items, l->count, &l->cap, sizeof(*l->items));
	l->items[l->count++] = item;
}

void arena_unit(struct arena *a, struct arena_units *u, uint16_t unit)
{
	if (u->len == u->cap)
		u->at = grown(a, u->at, u->len, &u->cap, sizeof(*u->at));
	u->at[u->len++] = unit;
}

void arena_ascii(struct arena *a, struct arena_units *u, const char *text)
{
	for (; *text != '\0'; text++)
		arena_unit(a, u, (unsigned char)*text);
}

void arena_append(struct arena *a, struct arena_units *u, const struct arena_units *more)
{
	for (size_t i = 0; i < more->len; i++)
		arena_unit(a, u, more->at[i]);
}

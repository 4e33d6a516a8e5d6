// Memory that is freed all at once: what compiling and walking a glob pattern makes.
#ifndef SALLYPORT_TOOLS_ARENA_H
#define SALLYPORT_TOOLS_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used; // bytes handed out; whoever feeds it hostile input watches this
};

void *arena_alloc(struct arena *a, size_t n); // zeroed, aligned for anything
char *arena_text(struct arena *a, struct span text);
void arena_fini(struct arena *a);

// A growing list of pointers or numbers in an arena.
struct arena_list {
	void **items;
	size_t count, cap;
};

void arena_push(struct arena *a, struct arena_list *l, void *item);

// A growing string of UTF-16 code units in an arena.
struct arena_units {
	uint16_t *at;
	size_t len, cap;
};

void arena_unit(struct arena *a, struct arena_units *u, uint16_t unit);
void arena_ascii(struct arena *a, struct arena_units *u, const char *text);
void arena_append(struct arena *a, struct arena_units *u, const struct arena_units *more);

#endif

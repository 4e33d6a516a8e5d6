// Allocation. Running out of memory is not a state this program can act in usefully, so these abort instead of
// returning NULL; what an outsider may make us allocate is bounded where it enters (struct buf's maximum, parsers' limits).
#ifndef SALLYPORT_BASE_MEM_H
#define SALLYPORT_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

void *mem_alloc(size_t n);                          // uninitialised
void *mem_zero(size_t n);                           // zeroed
void *mem_grow(void *p, size_t count, size_t size); // realloc to count * size, overflow checked
char *mem_strdup(const char *s);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Overwrites a secret so that the compiler can't leave it out.
void mem_wipe(void *p, size_t n);

#define NEW(type) ((type *)mem_zero(sizeof(type)))

// Cleanup attributes for straight-line code, and the way to keep what they would free.
static inline void mem_free_charp(char **p)
{
	free(*p);
}
#define AUTO_FREE __attribute__((cleanup(mem_free_charp)))
#define STEAL(p)                          \
	({                                \
		__typeof__(p) tmp_ = (p); \
		(p) = NULL;               \
		tmp_;                     \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif

// The few functions that a libc would bring. Compiled with -fno-tree-loop-distribute-patterns, or they would call themselves.
#include "init.h"

void *mem_copy(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;
	for (size_t i = 0; i < n; i++)
		t[i] = f[i];
	return to;
}

// The compiler calls these by name for assignments of whole structures.
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
	return mem_copy(to, from, n);
}

void *memset(void *to, int c, size_t n)
{
	char *t = to;
	for (size_t i = 0; i < n; i++)
		t[i] = (char)c;
	return to;
}

size_t str_len(const char *s)
{
	size_t n = 0;
	while (s[n] != '\0')
		n++;
	return n;
}

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static void *checked(void *p)
{
	if (p == NULL) {
		fputs("sallyport: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *mem_alloc(size_t n)
{
	return checked(malloc(n == 0 ? 1 : n));
}

void *mem_zero(size_t n)
{
	return checked(calloc(1, n == 0 ? 1 : n));
}

void *mem_grow(void *p, size_t count, size_t size)
{
	return checked(reallocarray(p, count == 0 ? 1 : count, size));
}

char *mem_strdup(const char *s)
{
	return checked(strdup(s));
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *s = NULL;
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return checked(n < 0 ? NULL : s);
}

void mem_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

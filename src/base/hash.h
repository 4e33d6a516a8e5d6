// For tables in memory whose keys nobody outside chooses.
#ifndef SALLYPORT_BASE_HASH_H
#define SALLYPORT_BASE_HASH_H

#include <stddef.h>

// FNV-1a of a text.
static inline size_t hash_text(const char *s)
{
	size_t h = 14695981039346656037u;
	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

#endif

// Lists of valid words, for errors that say what to type.
#ifndef SALLYPORT_BASE_WORDS_H
#define SALLYPORT_BASE_WORDS_H

#include "base/span.h"

// The word of `known` (NULL-terminated) with the fewest edits to `word`, if few enough to be meant (a third of its length, at
// least 1); else NULL.
const char *words_nearest(struct span word, const char *const *known);

// All of them with `between` between them; heap.
char *words_joined(const char *const *words, const char *between);

#endif

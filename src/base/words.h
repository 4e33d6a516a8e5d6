// The nearest valid word to a mistyped one, for errors that say what to type.
#ifndef SALLYPORT_BASE_WORDS_H
#define SALLYPORT_BASE_WORDS_H

#include "base/span.h"

// The word of `known` (NULL-terminated) with the fewest edits to `word`, if few enough to be meant (a third of its length, at
// least 1); else NULL.
const char *words_nearest(struct span word, const char *const *known);

#endif

// Parts of a JavaScript regular expression that stand for characters.
#ifndef SALLYPORT_TOOLS_REGEX_CLASS_H
#define SALLYPORT_TOOLS_REGEX_CLASS_H

#include <stdbool.h>

#include "tools/arena.h"

struct regex_text {
	const uint16_t *at;
	size_t len;
	size_t pos;
};

int regex_peek(const struct regex_text *t, size_t ahead); // -1 beyond the end

bool regex_is_hex(int c);

// Appends one code unit as itself.
void regex_emit(struct arena *a, struct arena_units *out, uint16_t c);

// What \d, \D, \s, \S, \w and \W hold, for use between brackets; NULL for other letters.
const char *regex_set(int letter);

// The code unit that an escape stands for; the text is after its backslash and not at its end.
uint16_t regex_escape(struct regex_text *t, bool in_class);

// A class; the text is after "[". `names`: there are named groups, so that "\k" means nothing. Returns NULL, or what is wrong
// in V8's words.
const char *regex_class(struct arena *a, struct regex_text *t, bool names, struct arena_units *out);

#endif

// "[a-z]", "[!x]", "[[:alpha:]]" as regular expressions.
#ifndef SALLYPORT_TOOLS_GLOB_CLASS_H
#define SALLYPORT_TOOLS_GLOB_CLASS_H

#include <stdbool.h>

#include "tools/arena.h"

struct glob_class {
	struct arena_units source;
	size_t consumed; // 0: it is no class, the bracket is a bracket
	bool unicode;
	bool magic; // false: it stands for the one character `literal`
	uint16_t literal;
};

// `text` begins at "[".
void glob_class_parse(struct arena *a, const uint16_t *text, size_t len, struct glob_class *c);

// Appends one character as itself.
void glob_class_escape(struct arena *a, struct arena_units *out, uint16_t c);

#endif

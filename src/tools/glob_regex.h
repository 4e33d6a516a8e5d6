// The regular expression of one part of a pattern.
#ifndef SALLYPORT_TOOLS_GLOB_REGEX_H
#define SALLYPORT_TOOLS_GLOB_REGEX_H

#include "tools/glob_ast.h"

struct glob_source {
	struct arena_units regex;   // without ^ and $
	struct arena_units literal; // the name, when there is no magic
	bool magic, unicode;
};

// `n` is the tree's root, flattened, its negations filled.
void glob_regex_source(struct glob_ast *ast, struct glob_source *out);

#endif

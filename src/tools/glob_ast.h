// One part of a pattern (between slashes) as a tree of extended globs: "a@(b|*(c))".
#ifndef SALLYPORT_TOOLS_GLOB_AST_H
#define SALLYPORT_TOOLS_GLOB_AST_H

#include <stdbool.h>

#include "tools/arena.h"

struct glob_node;

struct glob_piece { // a child node, or text
	struct glob_node *node;
	struct arena_units text;
};

struct glob_node {
	char type;         // '!', '?', '+', '*', '@': an extended glob, whose pieces are its alternatives; 0: a sequence
	signed char magic; // -1: not known yet
	bool empty;        // "()" with nothing in it
	bool unicode;      // needs Unicode properties
	struct glob_node *parent;
	size_t index; // where it was put in its parent; not kept up to date, since the rules below were not written for that
	struct glob_piece *pieces;
	size_t count, cap;
	bool has_text;
	struct arena_units text; // the pattern that it was, once asked for
};

struct glob_ast {
	struct arena *arena;
	size_t limit; // of the arena's use
	struct glob_node *root;
	struct arena_list negations; // that are still to be filled
	bool filled;
	bool too_much;
};

// Parses; the root is a sequence. `too_much` is set when it would take too much memory or is nested too deeply.
void glob_ast_parse(struct glob_ast *ast, const uint16_t *text, size_t len);

// Merges nested extended globs where that changes nothing, as Node does. (It does change which names with a leading dot match.)
void glob_ast_flatten(struct glob_ast *ast);

// Gives each negation what follows it: "!(a)b" must not match "ab", but may match "aab".
void glob_ast_fill_negations(struct glob_ast *ast);

// Turns an extended glob into plain text.
void glob_ast_make_text(struct glob_ast *ast, struct glob_node *n, const struct arena_units *text);

const struct arena_units *glob_ast_text(struct glob_ast *ast, struct glob_node *n);

bool glob_ast_is_start(const struct glob_ast *ast, const struct glob_node *n);
bool glob_ast_is_end(const struct glob_ast *ast, const struct glob_node *n);

#endif

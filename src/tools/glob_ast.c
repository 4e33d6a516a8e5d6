#include "tools/glob_ast.h"

#include <string.h>

#define EXTGLOB_DEPTH 2 // deeper ones are plain text, unless they would be merged with the one around them
#define DEPTH_MAX 200

static struct glob_node *new_node(struct glob_ast *ast, char type, struct glob_node *parent)
{
	struct glob_node *n = arena_alloc(ast->arena, sizeof(*n));
	n->type = type;
	n->magic = type != 0 ? 1 : -1;
	n->parent = parent;
	n->index = parent == NULL ? 0 : parent->count;
	if (type == '!' && !ast->filled)
		arena_push(ast->arena, &ast->negations, n);
	return n;
}

static void push(struct glob_ast *ast, struct glob_node *to, struct glob_piece piece)
{
	if (to->count == to->cap) {
		to->cap = to->cap == 0 ? 4 : 2 * to->cap;
		struct glob_piece *more = arena_alloc(ast->arena, to->cap * sizeof(*more));
		if (to->count > 0)
			memcpy(more, to->pieces, to->count * sizeof(*more));
		to->pieces = more;
	}
	to->pieces[to->count++] = piece;
	ast->too_much |= ast->arena->used > ast->limit;
}

static void push_node(struct glob_ast *ast, struct glob_node *to, struct glob_node *n)
{
	push(ast, to, (struct glob_piece){.node = n});
}

static void push_text(struct glob_ast *ast, struct glob_node *to, struct arena_units *text)
{
	if (text->len > 0)
		push(ast, to, (struct glob_piece){.text = *text});
	*text = (struct arena_units){0};
}

static bool is_type(uint16_t c)
{
	return c == '!' || c == '?' || c == '+' || c == '*' || c == '@';
}

// Which inner types an outer one can take in. `any` counts those that need a blank alternative or a change of the outer type.
static bool takes(char outer, char inner)
{
	static const char *const table[][2] = {{"!", "@"}, {"?", "?@"}, {"@", "@"}, {"*", "*+?@"}, {"+", "+@"}};
	for (size_t i = 0; i < 5; i++)
		if (table[i][0][0] == outer)
			return strchr(table[i][1], inner) != NULL;
	return false;
}

static bool takes_any(char outer, char inner)
{
	static const char *const table[][2] = {{"!", "?@"}, {"?", "?@"}, {"@", "?@"}, {"*", "*+?@"}, {"+", "+@?*"}};
	for (size_t i = 0; i < 5; i++)
		if (table[i][0][0] == outer)
			return strchr(table[i][1], inner) != NULL;
	return false;
}

static bool takes_with_blank(char outer, char inner)
{
	return (outer == '!' && inner == '?') || (outer == '@' && inner == '?') ||
	       (outer == '+' && (inner == '?' || inner == '*'));
}

// The type that an outer one with nothing but this inner one in it becomes, or 0.
static char usurps(char outer, char inner)
{
	if (outer == '!')
		return inner == '!' ? '@' : 0;
	if (outer == '?')
		return inner == '*' || inner == '+' ? '*' : 0;
	if (outer == '@')
		return inner;
	if (outer == '+')
		return inner == '?' || inner == '*' ? '*' : 0;
	return 0;
}

// Follows "[…]", inside of which nothing else is special. True when `c` belongs to it.
struct bracket {
	bool inside, negated;
	size_t start;
};

static bool in_bracket(struct bracket *b, uint16_t c, size_t after)
{
	if (b->inside) {
		if (after == b->start + 1) {
			if (c == '^' || c == '!')
				b->negated = true;
		} else if (c == ']' && !(after == b->start + 2 && b->negated)) {
			b->inside = false;
		}
		return true;
	}
	if (c != '[')
		return false;
	*b = (struct bracket){.inside = true, .start = after};
	return true;
}

void glob_ast_make_text(struct glob_ast *ast, struct glob_node *n, const struct arena_units *text)
{
	n->type = 0;
	n->magic = -1;
	n->count = 0;
	push(ast, n, (struct glob_piece){.text = *text});
}

struct parser {
	struct glob_ast *ast;
	const uint16_t *text;
	size_t len;
	unsigned nested;
};

static size_t parse_extglob(struct parser *p, struct glob_node *n, size_t pos, int depth);

static bool opens(const struct parser *p, uint16_t c, size_t at)
{
	return is_type(c) && at < p->len && p->text[at] == '(';
}

static void parse_root(struct parser *p, struct glob_node *root)
{
	struct arena_units acc = {0};
	struct bracket b = {0};
	for (size_t i = 0; i < p->len && !p->ast->too_much;) {
		uint16_t c = p->text[i++];
		if (!in_bracket(&b, c, i) && opens(p, c, i)) {
			push_text(p->ast, root, &acc);
			struct glob_node *n = new_node(p->ast, (char)c, root);
			i = parse_extglob(p, n, i, 1);
			push_node(p->ast, root, n);
			continue;
		}
		arena_unit(p->ast->arena, &acc, c);
	}
	push_text(p->ast, root, &acc);
}

// Ends the alternatives at ")"; returns where to go on.
static size_t close_extglob(struct parser *p, struct glob_node *n, struct arena_list *parts, struct glob_node *part,
                            struct arena_units *acc, size_t at)
{
	if (acc->len == 0 && n->count == 0)
		n->empty = true;
	push_text(p->ast, part, acc);
	for (size_t i = 0; i < parts->count; i++)
		push_node(p->ast, n, parts->items[i]);
	push_node(p->ast, n, part);
	return at;
}

// `pos` is at the "(". One that is never closed is plain text.
static size_t parse_extglob(struct parser *p, struct glob_node *n, size_t pos, int depth)
{
	struct arena *arena = p->ast->arena;
	struct arena_list parts = {0};
	struct arena_units acc = {0};
	struct bracket b = {0};
	struct glob_node *part = new_node(p->ast, 0, n);
	p->ast->too_much |= ++p->nested > DEPTH_MAX;
	size_t i = pos + 1;
	while (i < p->len && !p->ast->too_much) {
		uint16_t c = p->text[i++];
		if (in_bracket(&b, c, i)) {
			arena_unit(arena, &acc, c);
		} else if (opens(p, c, i) && (depth <= EXTGLOB_DEPTH || takes_any(n->type, (char)c))) {
			push_text(p->ast, part, &acc);
			struct glob_node *inner = new_node(p->ast, (char)c, part);
			push_node(p->ast, part, inner);
			i = parse_extglob(p, inner, i, depth + (takes_any(n->type, (char)c) ? 0 : 1));
		} else if (c == '|') {
			push_text(p->ast, part, &acc);
			arena_push(arena, &parts, part);
			part = new_node(p->ast, 0, n);
		} else if (c == ')') {
			p->nested--;
			return close_extglob(p, n, &parts, part, &acc, i);
		} else {
			arena_unit(arena, &acc, c);
		}
	}
	p->nested--;
	struct arena_units rest = {0};
	for (size_t k = pos - 1; k < p->len && !p->ast->too_much; k++)
		arena_unit(arena, &rest, p->text[k]);
	glob_ast_make_text(p->ast, n, &rest);
	return i;
}

void glob_ast_parse(struct glob_ast *ast, const uint16_t *text, size_t len)
{
	struct parser p = {ast, text, len, 0};
	ast->root = new_node(ast, 0, NULL);
	parse_root(&p, ast->root);
}

// The extended glob that is all there is in an alternative, or NULL.
static struct glob_node *only_extglob(const struct glob_node *n)
{
	if (n->type != 0 || n->count != 1)
		return NULL;
	struct glob_node *inner = n->pieces[0].node;
	return inner != NULL && inner->type != 0 ? inner : NULL;
}

// Puts the inner one's alternatives in place of the alternative `index` that held it.
static void adopt(struct glob_ast *ast, struct glob_node *n, size_t index, struct glob_node *inner)
{
	struct glob_node merged = {0};
	for (size_t i = 0; i < n->count; i++) {
		if (i != index)
			push(ast, &merged, n->pieces[i]);
		for (size_t k = 0; i == index && k < inner->count; k++)
			push(ast, &merged, inner->pieces[k]);
	}
	for (size_t k = 0; k < inner->count; k++)
		if (inner->pieces[k].node != NULL)
			inner->pieces[k].node->parent = n;
	n->pieces = merged.pieces;
	n->count = merged.count;
	n->cap = merged.cap;
	n->has_text = false;
}

static void add_blank(struct glob_ast *ast, struct glob_node *n)
{
	struct glob_node *blank = new_node(ast, 0, n);
	push(ast, blank, (struct glob_piece){0}); // text of length 0
	push_node(ast, n, blank);
}

static void usurp(struct glob_node *n, struct glob_node *inner, char type)
{
	n->pieces = inner->pieces;
	n->count = inner->count;
	n->cap = inner->cap;
	for (size_t i = 0; i < n->count; i++)
		if (n->pieces[i].node != NULL)
			n->pieces[i].node->parent = n;
	n->type = type;
	n->has_text = false;
	n->empty = false;
}

static void flatten(struct glob_ast *ast, struct glob_node *n);

static bool flatten_once(struct glob_ast *ast, struct glob_node *n)
{
	bool changed = false;
	for (size_t i = 0; i < n->count && !ast->too_much; i++) {
		struct glob_node *c = n->pieces[i].node;
		if (c == NULL)
			continue;
		flatten(ast, c);
		struct glob_node *inner = n->type == 0 ? NULL : only_extglob(c);
		if (inner == NULL)
			continue;
		if (takes(n->type, inner->type)) {
			adopt(ast, n, i, inner);
			changed = true;
		} else if (takes_with_blank(n->type, inner->type)) {
			add_blank(ast, inner);
			adopt(ast, n, i, inner);
			changed = true;
		} else if (n->count == 1 && usurps(n->type, inner->type) != 0) {
			usurp(n, inner, usurps(n->type, inner->type));
			changed = true;
		}
	}
	return changed;
}

static void flatten(struct glob_ast *ast, struct glob_node *n)
{
	if (n->type == 0) {
		for (size_t i = 0; i < n->count && !ast->too_much; i++)
			if (n->pieces[i].node != NULL)
				flatten(ast, n->pieces[i].node);
	} else {
		for (int round = 0; round < 10 && flatten_once(ast, n); round++)
			;
	}
	n->has_text = false;
}

void glob_ast_flatten(struct glob_ast *ast)
{
	flatten(ast, ast->root);
}

const struct arena_units *glob_ast_text(struct glob_ast *ast, struct glob_node *n)
{
	if (n->has_text)
		return &n->text;
	struct arena_units text = {0};
	if (n->type != 0) {
		arena_unit(ast->arena, &text, (uint16_t)n->type);
		arena_unit(ast->arena, &text, '(');
	}
	for (size_t i = 0; i < n->count; i++) {
		if (n->type != 0 && i > 0)
			arena_unit(ast->arena, &text, '|');
		arena_append(ast->arena, &text,
		             n->pieces[i].node != NULL ? glob_ast_text(ast, n->pieces[i].node) : &n->pieces[i].text);
	}
	if (n->type != 0)
		arena_unit(ast->arena, &text, ')');
	n->text = text;
	n->has_text = true;
	return &n->text;
}

static void copy_in(struct glob_ast *ast, struct glob_node *to, const struct glob_piece *piece)
{
	struct arena_units text = piece->text;
	if (ast->too_much)
		return;
	if (piece->node == NULL)
		return push_text(ast, to, &text);
	struct glob_node *copy = new_node(ast, piece->node->type, to);
	for (size_t i = 0; i < piece->node->count; i++)
		copy_in(ast, copy, &piece->node->pieces[i]);
	push_node(ast, to, copy);
}

static void fill(struct glob_ast *ast, struct glob_node *negation)
{
	struct glob_node *p = negation;
	for (struct glob_node *pp = p->parent; pp != NULL; p = pp, pp = p->parent) {
		for (size_t i = p->index + 1; pp->type == 0 && i < pp->count; i++)
			for (size_t k = 0; k < negation->count && !ast->too_much; k++)
				copy_in(ast, negation->pieces[k].node, &pp->pieces[i]);
	}
}

void glob_ast_fill_negations(struct glob_ast *ast)
{
	glob_ast_text(ast, ast->root);
	ast->filled = true;
	while (ast->negations.count > 0 && !ast->too_much) {
		struct glob_node *n = ast->negations.items[--ast->negations.count];
		if (n->type == '!')
			fill(ast, n);
	}
}

bool glob_ast_is_start(const struct glob_ast *ast, const struct glob_node *n)
{
	for (; n != ast->root; n = n->parent) {
		for (size_t i = 0; i < n->index; i++) {
			const struct glob_node *before = i < n->parent->count ? n->parent->pieces[i].node : NULL;
			if (before == NULL || before->type != '!')
				return false;
		}
	}
	return true;
}

bool glob_ast_is_end(const struct glob_ast *ast, const struct glob_node *n)
{
	for (; n != ast->root; n = n->parent) {
		if (n->parent->type == '!')
			return true;
		if (n->type != 0 && n->index != n->parent->count - 1)
			return false;
	}
	return true;
}

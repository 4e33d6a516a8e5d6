#include "tools/glob_regex.h"

#include "tools/glob_class.h"

#define NO_TRAVERSAL "(?!(?:^|/)\\.\\.?(?:$|/))"
#define NO_DOT "(?!\\.)"
#define STAR "[^/]*?"
#define STAR_NOT_EMPTY "[^/]+?"

static void node_source(struct glob_ast *ast, struct glob_node *n, bool dot, struct glob_source *out);

static bool only_stars(const struct arena_units *text)
{
	for (size_t i = 0; i < text->len; i++)
		if (text->at[i] != '*')
			return false;
	return text->len > 0;
}

static void text_source(struct arena *a, const struct arena_units *text, bool no_empty, struct glob_source *out)
{
	bool in_star = false;
	for (size_t i = 0; i < text->len; i++) {
		uint16_t c = text->at[i];
		struct glob_class class = {0};
		if (c == '[')
			glob_class_parse(a, text->at + i, text->len - i, &class);
		if (c == '*') {
			if (!in_star)
				arena_ascii(a, &out->regex, no_empty && only_stars(text) ? STAR_NOT_EMPTY : STAR);
			out->magic = true;
		} else if (class.consumed > 0) {
			arena_append(a, &out->regex, &class.source);
			if (!class.magic)
				arena_unit(a, &out->literal, class.literal);
			out->magic |= class.magic;
			out->unicode |= class.unicode;
			i += class.consumed - 1;
		} else if (c == '?') {
			arena_ascii(a, &out->regex, "[^/]");
			out->magic = true;
		} else {
			glob_class_escape(a, &out->regex, c);
			arena_unit(a, &out->literal, c);
		}
		in_star = c == '*';
	}
}

static uint16_t unit_at(const struct arena_units *u, size_t i)
{
	return i < u->len ? u->at[i] : 0;
}

static bool open_ended(uint16_t c) // a class or an escaped dot, in a regular expression's text
{
	return c == '[' || c == '.';
}

// What must stand before a sequence so that a wildcard does not match a leading dot, nor make up "..".
static const char *start_guard(const struct glob_node *n, bool dot, const struct arena_units *src)
{
	const struct arena_units *first = &n->pieces[0].text;
	bool dots =
	        n->count == 1 && first->len > 0 && first->len <= 2 && first->at[0] == '.' && first->at[first->len - 1] == '.';
	if (dots)
		return "";
	bool escaped_dot = unit_at(src, 0) == '\\' && unit_at(src, 1) == '.';
	bool escaped_dots = escaped_dot && unit_at(src, 2) == '\\' && unit_at(src, 3) == '.';
	bool traversal = (dot && open_ended(unit_at(src, 0))) || (escaped_dot && open_ended(unit_at(src, 2))) ||
	                 (escaped_dots && open_ended(unit_at(src, 4)));
	if (traversal)
		return NO_TRAVERSAL;
	return !dot && open_ended(unit_at(src, 0)) ? NO_DOT : "";
}

static void sequence_source(struct glob_ast *ast, struct glob_node *n, bool dot, struct glob_source *out)
{
	struct arena *a = ast->arena;
	struct glob_source body = {.magic = n->magic > 0};
	bool start = glob_ast_is_start(ast, n), end = glob_ast_is_end(ast, n), all_text = true;
	for (size_t i = 0; i < n->count; i++)
		all_text &= n->pieces[i].node == NULL;
	for (size_t i = 0; i < n->count && !ast->too_much; i++) {
		struct glob_source part = {0};
		if (n->pieces[i].node != NULL)
			node_source(ast, n->pieces[i].node, dot, &part);
		else
			text_source(a, &n->pieces[i].text, start && end && all_text, &part);
		arena_append(a, &body.regex, &part.regex);
		arena_append(a, &body.literal, &part.literal);
		body.magic |= part.magic;
		n->unicode |= part.unicode;
		ast->too_much |= a->used > ast->limit;
	}
	n->magic = body.magic;
	if (start && n->count > 0 && n->pieces[0].node == NULL)
		arena_ascii(a, &out->regex, start_guard(n, dot, &body.regex));
	arena_append(a, &out->regex, &body.regex);
	if (end && ast->filled && n->parent != NULL && n->parent->type == '!')
		arena_ascii(a, &out->regex, "(?:$|\\/)");
	out->literal = body.literal;
	out->magic = body.magic;
	out->unicode = n->unicode;
}

static void alternatives(struct glob_ast *ast, struct glob_node *n, bool dot, struct arena_units *out)
{
	bool whole = glob_ast_is_start(ast, n) && glob_ast_is_end(ast, n), first = true;
	for (size_t i = 0; i < n->count && !ast->too_much; i++) {
		struct glob_source s = {0};
		if (n->pieces[i].node == NULL)
			continue;
		node_source(ast, n->pieces[i].node, dot, &s);
		n->unicode |= s.unicode;
		if (whole && s.regex.len == 0)
			continue;
		if (!first)
			arena_unit(ast->arena, out, '|');
		first = false;
		arena_append(ast->arena, out, &s.regex);
	}
}

static bool same(const struct arena_units *a, const struct arena_units *b)
{
	for (size_t i = 0; a->len == b->len && i < a->len; i++)
		if (a->at[i] != b->at[i])
			return false;
	return a->len == b->len;
}

// What closes a group of this type; `doubled`: its repetition is already written out.
static const char *closing(char type, bool doubled)
{
	switch (type) {
	case '@':
		return ")";
	case '?':
		return ")?";
	case '+':
		return doubled ? ")" : ")+";
	default:
		return doubled ? ")?" : ")*";
	}
}

static void negation_source(struct glob_ast *ast, struct glob_node *n, bool dot, const struct arena_units *body,
                            struct arena_units *out)
{
	const char *guard = glob_ast_is_start(ast, n) && !dot ? NO_DOT : "";
	if (n->empty) {
		arena_ascii(ast->arena, out, guard);
		arena_ascii(ast->arena, out, STAR_NOT_EMPTY);
		return;
	}
	arena_ascii(ast->arena, out, "(?:(?!(?:");
	arena_append(ast->arena, out, body);
	arena_ascii(ast->arena, out, "))");
	arena_ascii(ast->arena, out, guard);
	arena_ascii(ast->arena, out, STAR ")");
}

static void extglob_source(struct glob_ast *ast, struct glob_node *n, bool dot, struct glob_source *out)
{
	struct arena *a = ast->arena;
	struct arena_units body = {0}, with_dots = {0};
	alternatives(ast, n, dot, &body);
	if (body.len == 0 && n->type != '!' && glob_ast_is_start(ast, n) && glob_ast_is_end(ast, n)) {
		// "@()" alone is that text.
		out->regex = out->literal = *glob_ast_text(ast, n);
		glob_ast_make_text(ast, n, &out->literal);
		return;
	}
	// A repetition may match a leading dot, but not in its first round.
	if ((n->type == '*' || n->type == '+') && !dot)
		alternatives(ast, n, true, &with_dots);
	bool doubled = with_dots.len > 0 && !same(&body, &with_dots);
	if (n->type == '!') {
		negation_source(ast, n, dot, &body, &out->regex);
	} else {
		arena_ascii(a, &out->regex, doubled ? "(?:(?:" : "(?:");
		arena_append(a, &out->regex, &body);
		if (doubled) {
			arena_ascii(a, &out->regex, ")(?:");
			arena_append(a, &out->regex, &with_dots);
			arena_ascii(a, &out->regex, ")*?");
		}
		arena_ascii(a, &out->regex, closing(n->type, doubled));
	}
	out->magic = n->magic > 0;
	out->unicode = n->unicode;
}

static void node_source(struct glob_ast *ast, struct glob_node *n, bool dot, struct glob_source *out)
{
	if (n->type == 0)
		sequence_source(ast, n, dot, out);
	else
		extglob_source(ast, n, dot, out);
}

void glob_regex_source(struct glob_ast *ast, struct glob_source *out)
{
	*out = (struct glob_source){0};
	node_source(ast, ast->root, false, out);
}

// One part of a pattern, ready to be matched against names.
#define PCRE2_CODE_UNIT_WIDTH 16
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tools/glob.h"
#include "tools/glob_regex.h"
#include "tools/text.h"

struct glob_regex {
	pcre2_code *code;
	pcre2_match_data *match;
};

static bool compile(const struct arena_units *source, bool unicode, struct glob_regex **out)
{
	struct arena_units whole = {0};
	struct arena a = {0};
	int error;
	PCRE2_SIZE offset;
	arena_unit(&a, &whole, '^');
	arena_append(&a, &whole, source);
	arena_unit(&a, &whole, '$');
	uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE | (unicode ? PCRE2_UTF : 0);
	pcre2_code *code = pcre2_compile(whole.at, whole.len, options, &error, &offset, NULL);
	arena_fini(&a);
	if (code == NULL)
		return false;
	*out = NEW(struct glob_regex);
	(*out)->code = code;
	(*out)->match = pcre2_match_data_create(1, NULL);
	BUG_ON((*out)->match == NULL);
	return true;
}

static char *literal_text(struct arena *a, const struct arena_units *u)
{
	char *s = arena_alloc(a, 3 * u->len + 1), *to = s;
	for (size_t i = 0; i < u->len; i++) {
		uint32_t c = u->at[i];
		if ((c & 0xFC00) == 0xD800 && i + 1 < u->len && (u->at[i + 1] & 0xFC00) == 0xDC00)
			c = 0x10000 + ((c & 0x3FF) << 10) + (u->at[++i] & 0x3FF);
		size_t n;
		text_put(c, to, &n);
		to += n;
	}
	*to = '\0';
	return s;
}

struct result glob_part_compile(struct glob_patterns *g, const char *raw, struct glob_part *p, struct err *e)
{
	*p = (struct glob_part){.kind = GLOB_NAME, .raw = raw, .name = raw};
	if (strcmp(raw, "**") == 0) {
		p->kind = GLOB_STAR_STAR;
		return OK;
	}
	if (strpbrk(raw, "*?[(") == NULL)
		return OK;
	size_t n;
	uint16_t *units = text_utf16(span_of(raw), &n);
	struct glob_ast ast = {.arena = &g->arena, .limit = GLOB_MEMORY};
	struct glob_source source = {0};
	glob_ast_parse(&ast, units, n);
	free(units);
	glob_ast_flatten(&ast);
	glob_ast_fill_negations(&ast);
	if (!ast.too_much)
		glob_regex_source(&ast, &source);
	if (ast.too_much)
		return err_set(e, ERR_TOO_LARGE, "pattern is too complex");
	if (!source.magic) {
		p->name = literal_text(&g->arena, &source.literal);
		return OK;
	}
	p->kind = GLOB_REGEX;
	if (!compile(&source.regex, source.unicode, &p->regex))
		return err_set(e, ERR_INVALID, "pattern is too complex");
	arena_push(&g->arena, &g->regexes, p->regex);
	return OK;
}

bool glob_part_matches(const struct glob_part *p, const char *name)
{
	if (p->kind == GLOB_STAR_STAR)
		return true;
	if (p->kind == GLOB_NAME)
		return strcmp(p->name, name) == 0;
	size_t n;
	uint16_t *units = text_utf16(span_of(name), &n);
	int r = pcre2_match(p->regex->code, units, n, 0, 0, p->regex->match, NULL);
	free(units);
	return r >= 0; // an error (the match is too hard) counts as no match
}

void glob_fini(struct glob_patterns *g)
{
	for (size_t i = 0; i < g->regexes.count; i++) {
		struct glob_regex *r = g->regexes.items[i];
		pcre2_match_data_free(r->match);
		pcre2_code_free(r->code);
		free(r);
	}
	arena_fini(&g->arena);
	*g = (struct glob_patterns){0};
}

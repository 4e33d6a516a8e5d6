#include "tools/glob_class.h"

#include <string.h>

#include "base/mem.h"

static const struct posix_class {
	const char *name;
	const char *source;
	bool unicode;
	bool negated;
} posix_classes[] = {
        {"[:alnum:]", "\\p{L}\\p{Nl}\\p{Nd}", true, false},
        {"[:alpha:]", "\\p{L}\\p{Nl}", true, false},
        {"[:ascii:]", "\\x00-\\x7f", false, false},
        {"[:blank:]", "\\p{Zs}\\t", true, false},
        {"[:cntrl:]", "\\p{Cc}", true, false},
        {"[:digit:]", "\\p{Nd}", true, false},
        {"[:graph:]", "\\p{Z}\\p{C}", true, true},
        {"[:lower:]", "\\p{Ll}", true, false},
        {"[:print:]", "\\p{C}", true, false}, // as it is there, the wrong way round
        {"[:punct:]", "\\p{P}", true, false},
        {"[:space:]", "\\p{Z}\\t\\r\\n\\x0b\\f", true, false},
        {"[:upper:]", "\\p{Lu}", true, false},
        {"[:word:]", "\\p{L}\\p{Nl}\\p{Nd}\\p{Pc}", true, false},
        {"[:xdigit:]", "A-Fa-f0-9", false, false},
};

struct scan {
	struct arena *arena;
	const uint16_t *text;
	size_t len;
	struct arena_units ranges, negatives;
	size_t range_count;
	uint16_t single; // the last single character
	bool is_single, unicode;
};

static bool starts(const struct scan *s, size_t at, const char *word)
{
	for (size_t i = 0; word[i] != '\0'; i++)
		if (at + i >= s->len || s->text[at + i] != (unsigned char)word[i])
			return false;
	return true;
}

// PCRE2 would take "[:x:]", "[.x.]" and "[=x=]" for something else than JavaScript does.
static void add_char(struct scan *s, uint16_t c)
{
	if (c != 0 && c < 0x80 && strchr("[]\\-:.=", c) != NULL)
		arena_unit(s->arena, &s->ranges, '\\');
	arena_unit(s->arena, &s->ranges, c);
}

static void add_single(struct scan *s, uint16_t c)
{
	add_char(s, c);
	s->range_count++;
	s->single = c;
	s->is_single = true;
}

static const struct posix_class *posix_at(const struct scan *s, size_t at)
{
	for (size_t i = 0; i < ARRAY_LEN(posix_classes); i++)
		if (starts(s, at, posix_classes[i].name))
			return &posix_classes[i];
	return NULL;
}

static void add_posix(struct scan *s, const struct posix_class *p)
{
	arena_ascii(s->arena, p->negated ? &s->negatives : &s->ranges, p->source);
	s->range_count += !p->negated;
	s->is_single = false;
	s->unicode |= p->unicode;
}

// Takes the next item at *at, whose first character is not the closing bracket. False when it makes the class match nothing.
static bool take_item(struct scan *s, size_t *at, uint16_t *range_start)
{
	uint16_t c = s->text[*at];
	const struct posix_class *p = c == '[' ? posix_at(s, *at) : NULL;
	if (p != NULL) {
		if (*range_start != 0)
			return false;
		add_posix(s, p);
		*at += strlen(p->name);
	} else if (*range_start != 0) {
		if (c > *range_start) {
			add_char(s, *range_start);
			arena_unit(s->arena, &s->ranges, '-');
			add_char(s, c);
			s->range_count++;
			s->is_single = false;
		} else if (c == *range_start) {
			add_single(s, c);
		}
		*range_start = 0;
		++*at;
	} else if (starts(s, *at + 1, "-]")) {
		add_char(s, c);
		add_char(s, '-');
		s->range_count++;
		s->is_single = false;
		*at += 2;
	} else if (starts(s, *at + 1, "-")) {
		*range_start = c;
		*at += 2;
	} else {
		add_single(s, c);
		++*at;
	}
	return true;
}

static void nothing(struct scan *s, struct glob_class *c)
{
	arena_ascii(s->arena, &c->source, "$.");
	c->consumed = s->len;
	c->magic = true;
}

static void bracketed(struct scan *s, struct arena_units *out, bool negate, const struct arena_units *content)
{
	arena_ascii(s->arena, out, negate ? "[^" : "[");
	arena_append(s->arena, out, content);
	arena_unit(s->arena, out, ']');
}

static void finish(struct scan *s, bool negate, struct glob_class *c)
{
	bool negatives = s->negatives.len > 0;
	if (!negatives && s->range_count == 1 && s->is_single && !negate && s->single != '\n' && s->single != '\r') {
		c->literal = s->single;
		glob_class_escape(s->arena, &c->source, s->single);
		return;
	}
	c->magic = true;
	c->unicode = s->unicode;
	if (s->range_count > 0 && negatives)
		arena_unit(s->arena, &c->source, '(');
	if (s->range_count > 0)
		bracketed(s, &c->source, negate, &s->ranges);
	if (s->range_count > 0 && negatives)
		arena_unit(s->arena, &c->source, '|');
	if (negatives)
		bracketed(s, &c->source, !negate, &s->negatives);
	if (s->range_count > 0 && negatives)
		arena_unit(s->arena, &c->source, ')');
}

void glob_class_parse(struct arena *a, const uint16_t *text, size_t len, struct glob_class *c)
{
	struct scan s = {.arena = a, .text = text, .len = len};
	bool negate = len > 1 && (text[1] == '!' || text[1] == '^');
	size_t at = negate ? 2 : 1, first = at;
	uint16_t range_start = 0;
	*c = (struct glob_class){0};
	while (at < len && !(text[at] == ']' && at > first)) {
		if (!take_item(&s, &at, &range_start))
			return nothing(&s, c);
	}
	if (at >= len)
		return;
	if (s.range_count == 0 && s.negatives.len == 0)
		return nothing(&s, c);
	c->consumed = at + 1;
	finish(&s, negate, c);
}

void glob_class_escape(struct arena *a, struct arena_units *out, uint16_t c)
{
	bool special = c < 0x80 && c != 0 && strchr("-[]{}()*+?.,\\^$|# \t\n\v\f\r", c) != NULL;
	if (special)
		arena_unit(a, out, '\\');
	arena_unit(a, out, c);
}

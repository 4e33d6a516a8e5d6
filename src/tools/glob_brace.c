// {a,b} and {1..9}: every combination, in order, at most GLOB_EXPANSIONS of them.
//
// Two bytes that never occur in UTF-8 stand for a brace that is not to be read as one.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tools/glob.h"

#define OPEN '\xFE'
#define CLOSE '\xFF'
#define DEPTH_MAX 4096

struct expander {
	struct arena *arena;
	unsigned depth;
	bool too_much;
};

static ssize_t index_of(const char *s, char c, ssize_t from)
{
	const char *hit = strchr(s + from, c);
	return hit == NULL ? -1 : hit - s;
}

// The first balanced pair of braces. Where braces are left open, the leftmost pair among what is balanced.
static bool balanced(const char *s, ssize_t *open, ssize_t *close)
{
	ssize_t a = index_of(s, '{', 0), b = a < 0 ? -1 : index_of(s, '}', a + 1), i = a, left = -1, right = -1;
	if (b < 0)
		return false;
	size_t depth = 0;
	ssize_t *begs = mem_alloc((strlen(s) + 1) * sizeof(*begs));
	bool whole = false;
	while (i >= 0 && !whole) {
		if (i == a) {
			begs[depth++] = i;
			a = index_of(s, '{', i + 1);
		} else if (depth == 1) {
			left = begs[--depth];
			right = b;
			whole = true;
		} else {
			ssize_t beg = depth > 0 ? begs[--depth] : -1;
			if (beg >= 0 && (left < 0 || beg < left)) {
				left = beg;
				right = b;
			}
			b = index_of(s, '}', i + 1);
		}
		i = a >= 0 && a < b ? a : b;
	}
	free(begs);
	*open = left;
	*close = right;
	return whole || (depth > 0 && right >= 0);
}

static char *concat(struct expander *x, const char *a, const char *b, const char *c)
{
	size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
	char *s = arena_alloc(x->arena, size);
	snprintf(s, size, "%s%s%s", a, b, c);
	x->too_much |= x->arena->used > GLOB_MEMORY;
	return s;
}

static void split_commas(struct expander *x, const char *s, struct arena_list *out)
{
	struct span head, rest = span_of(s);
	bool more;
	do {
		more = span_cut(rest, ',', &head, &rest);
		arena_push(x->arena, out, arena_text(x->arena, head));
	} while (more);
}

// Splits at the commas that are outside of inner braces.
static void comma_parts(struct expander *x, const char *s, struct arena_list *out)
{
	ssize_t open, close;
	if (x->too_much || !balanced(s, &open, &close))
		return split_commas(x, s, out);
	split_commas(x, arena_text(x->arena, span_from(s, (size_t)open)), out);
	const char *group = arena_text(x->arena, span_from(s + open, (size_t)(close - open + 1)));
	const char *post = s + close + 1;
	char **last = (char **)&out->items[out->count - 1];
	*last = concat(x, *last, group, "");
	if (post[0] == '\0')
		return;
	// What follows the group up to the next comma still belongs to the same part.
	struct arena_list rest = {0};
	comma_parts(x, post, &rest);
	*last = concat(x, *last, rest.items[0], "");
	for (size_t i = 1; i < rest.count; i++)
		arena_push(x->arena, out, rest.items[i]);
}

// An optional minus and digits; returns what follows, or NULL.
static const char *skip_number(const char *s)
{
	s += *s == '-';
	size_t digits = strspn(s, "0123456789");
	return digits == 0 ? NULL : s + digits;
}

struct sequence {
	bool alpha;
	double from, to, step;
	bool padded;
	size_t width;
};

// "-2..10..3" or "a..e..2".
static bool parse_sequence(const char *body, struct sequence *q)
{
	const char *first = body, *second, *third = NULL, *end;
	q->alpha = isalpha((unsigned char)body[0]) && strncmp(body + 1, "..", 2) == 0;
	end = q->alpha ? body + 1 : skip_number(body);
	if (end == NULL || strncmp(end, "..", 2) != 0)
		return false;
	size_t first_len = (size_t)(end - first);
	second = end + 2;
	end = q->alpha ? (isalpha((unsigned char)*second) ? second + 1 : NULL) : skip_number(second);
	if (end == NULL)
		return false;
	size_t second_len = (size_t)(end - second);
	if (strncmp(end, "..", 2) == 0) {
		third = end + 2;
		end = skip_number(third);
	}
	if (end == NULL || *end != '\0')
		return false;
	q->from = q->alpha ? (unsigned char)first[0] : strtod(first, NULL);
	q->to = q->alpha ? (unsigned char)second[0] : strtod(second, NULL);
	q->step = third == NULL ? 1 : fabs(strtod(third, NULL));
	q->width = first_len > second_len ? first_len : second_len;
	const char *parts[] = {first, second, third == NULL ? "" : third};
	q->padded = false;
	for (size_t i = 0; i < 3; i++) {
		const char *p = parts[i] + (parts[i][0] == '-');
		q->padded |= p[0] == '0' && isdigit((unsigned char)p[1]);
	}
	return true;
}

static char *sequence_item(struct expander *x, const struct sequence *q, double value)
{
	char text[400];
	if (q->alpha) {
		text[0] = value == '\\' ? '\0' : (char)value;
		text[1] = '\0';
	} else if (q->padded && q->width < sizeof(text) / 2) {
		snprintf(text, sizeof(text), "%0*.0f", (int)q->width, value);
	} else {
		snprintf(text, sizeof(text), "%.0f", value);
	}
	return arena_text(x->arena, span_of(text));
}

static void sequence_items(struct expander *x, const struct sequence *q, struct arena_list *out)
{
	bool down = q->to < q->from;
	double value = q->from;
	while ((down ? value >= q->to : value <= q->to) && out->count < GLOB_EXPANSIONS && !x->too_much) {
		arena_push(x->arena, out, sequence_item(x, q, value));
		value += down ? -q->step : q->step;
	}
}

// A comma that is not doubled, and a closing brace somewhere after it.
static bool braces_follow(const char *post)
{
	for (const char *c = post; (c = strchr(c, ',')) != NULL; c++) {
		if (c[1] == ',')
			continue;
		const char *line_end = strpbrk(c, "\n\r");
		const char *brace = strchr(c, '}');
		if (brace != NULL && (line_end == NULL || brace < line_end))
			return true;
	}
	return false;
}

static void expand(struct expander *x, const char *s, bool top, struct arena_list *out);

static void combine(struct expander *x, const char *pre, const struct arena_list *middle, const struct arena_list *post,
                    bool keep_empty, struct arena_list *out)
{
	for (size_t j = 0; j < middle->count; j++) {
		for (size_t k = 0; k < post->count && out->count < GLOB_EXPANSIONS && !x->too_much; k++) {
			char *s = concat(x, pre, middle->items[j], post->items[k]);
			if (keep_empty || s[0] != '\0')
				arena_push(x->arena, out, s);
		}
	}
}

// The alternatives of a group with commas. True when the group is a single one in doubled braces, which stays as it is.
static bool alternatives(struct expander *x, const char *body, struct arena_list *out)
{
	struct arena_list parts = {0};
	comma_parts(x, body, &parts);
	if (parts.count == 1) {
		struct arena_list inner = {0};
		expand(x, parts.items[0], false, &inner);
		for (size_t i = 0; i < inner.count; i++)
			inner.items[i] = concat(x, "{", inner.items[i], "}");
		if (inner.count == 1) {
			*out = inner;
			return true;
		}
		parts = inner;
	}
	for (size_t i = 0; i < parts.count && !x->too_much; i++)
		expand(x, parts.items[i], false, out);
	return false;
}

static void expand_group(struct expander *x, const char *s, ssize_t open, ssize_t close, bool top, struct arena_list *out)
{
	const char *pre = arena_text(x->arena, span_from(s, (size_t)open));
	const char *body = arena_text(x->arena, span_from(s + open + 1, (size_t)(close - open - 1)));
	const char *rest = s + close + 1;
	struct arena_list post = {0}, middle = {0};
	struct sequence q;
	if (rest[0] == '\0')
		arena_push(x->arena, &post, arena_text(x->arena, (struct span){0}));
	else
		expand(x, rest, false, &post);
	if (open > 0 && pre[open - 1] == '$') {
		arena_push(x->arena, &middle, concat(x, "{", body, "}"));
		return combine(x, pre, &middle, &post, true, out);
	}
	bool sequence = parse_sequence(body, &q);
	if (!sequence && strchr(body, ',') == NULL) {
		if (!braces_follow(rest))
			return arena_push(x->arena, out, arena_text(x->arena, span_of(s)));
		char *hidden = arena_text(x->arena, span_of(s));
		hidden[close] = CLOSE;
		return expand(x, hidden, true, out);
	}
	bool single = false;
	if (sequence)
		sequence_items(x, &q, &middle);
	else
		single = alternatives(x, body, &middle);
	combine(x, pre, &middle, &post, single || sequence || !top, out);
}

static void expand(struct expander *x, const char *s, bool top, struct arena_list *out)
{
	ssize_t open, close;
	x->too_much |= x->arena->used > GLOB_MEMORY || x->depth > DEPTH_MAX;
	if (x->too_much)
		return;
	x->depth++;
	if (balanced(s, &open, &close))
		expand_group(x, s, open, close, top, out);
	else
		arena_push(x->arena, out, arena_text(x->arena, span_of(s)));
	x->depth--;
}

// Whether there is a "{…}" without a brace or line break inside it.
static bool has_group(const char *s)
{
	for (const char *open = strchr(s, '{'); open != NULL; open = strchr(open + 1, '{')) {
		const char *stop = strpbrk(open + 1, "{}\n\r");
		if (stop != NULL && *stop == '}')
			return true;
	}
	return false;
}

struct result glob_brace_expand(struct arena *a, const char *pattern, struct arena_list *out, struct err *e)
{
	struct expander x = {.arena = a};
	char *s = arena_text(a, span_of(pattern));
	if (!has_group(s)) {
		arena_push(a, out, s);
		return OK;
	}
	if (strncmp(s, "{}", 2) == 0) {
		s[0] = OPEN;
		s[1] = CLOSE;
	}
	expand(&x, s, true, out);
	if (x.too_much)
		return err_set(e, ERR_TOO_LARGE, "pattern expands to too much");
	for (size_t i = 0; i < out->count; i++) {
		for (char *c = out->items[i]; *c != '\0'; c++)
			*c = *c == OPEN ? '{' : *c == CLOSE ? '}' : *c;
	}
	return OK;
}

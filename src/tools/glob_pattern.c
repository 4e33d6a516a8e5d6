// From a pattern to the list of simplified patterns that the walk follows.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tools/glob.h"
#include "tools/text.h"

static bool is(const struct arena_list *parts, ssize_t i, const char *text)
{
	return i >= 0 && (size_t)i < parts->count && strcmp(parts->items[i], text) == 0;
}

static void remove_parts(struct arena_list *parts, size_t at, size_t n)
{
	memmove(parts->items + at, parts->items + at + n, (parts->count - at - n) * sizeof(*parts->items));
	parts->count -= n;
}

static void split(struct arena *a, const char *pattern, struct arena_list *parts)
{
	for (;;) {
		size_t n = strcspn(pattern, "/");
		arena_push(a, parts, arena_text(a, span_from(pattern, n)));
		if (pattern[n] == '\0')
			return;
		pattern += n + strspn(pattern + n, "/");
	}
}

static ssize_t find_from(const struct arena_list *parts, const char *text, ssize_t from)
{
	for (size_t i = (size_t)(from < 0 ? 0 : from); i < parts->count; i++)
		if (strcmp(parts->items[i], text) == 0)
			return (ssize_t)i;
	return -1;
}

// A part that ".." can take back.
static bool is_plain(const struct arena_list *parts, ssize_t i)
{
	return i >= 0 && (size_t)i < parts->count && !is(parts, i, "") && !is(parts, i, ".") && !is(parts, i, "..");
}

// "**/**" is "**"; "a/**/../b/c" is also "a/../b/c".
static bool simplify_star_stars(struct arena *a, struct arena_list *parts, struct arena_list *all)
{
	bool changed = false;
	for (ssize_t at = -1; (at = find_from(parts, "**", at + 1)) >= 0;) {
		size_t last = (size_t)at;
		while (is(parts, (ssize_t)last + 1, "**"))
			last++;
		remove_parts(parts, (size_t)at + 1, last - (size_t)at);
		if (!is(parts, at + 1, "..") || !is_plain(parts, at + 2) || !is_plain(parts, at + 3))
			continue;
		changed = true;
		remove_parts(parts, (size_t)at, 1);
		struct arena_list *other = arena_alloc(a, sizeof(*other));
		for (size_t i = 0; i < parts->count; i++)
			arena_push(a, other, i == (size_t)at ? (char *)"**" : parts->items[i]);
		arena_push(a, all, other);
		at--;
	}
	return changed;
}

static bool drop_empty(struct arena_list *parts)
{
	bool changed = false;
	for (size_t i = 1; i + 1 < parts->count; i++) {
		if (i == 1 && is(parts, 1, "") && is(parts, 0, ""))
			continue;
		if (is(parts, (ssize_t)i, ".") || is(parts, (ssize_t)i, "")) {
			changed = true;
			remove_parts(parts, i--, 1);
		}
	}
	if (parts->count == 2 && is(parts, 0, ".") && (is(parts, 1, ".") || is(parts, 1, ""))) {
		changed = true;
		parts->count--;
	}
	return changed;
}

// "a/.." is nothing.
static bool take_back(struct arena *a, struct arena_list *parts)
{
	bool changed = false;
	for (ssize_t at = 0; (at = find_from(parts, "..", at + 1)) >= 0;) {
		if (!is_plain(parts, at - 1) || is(parts, at - 1, "**"))
			continue;
		changed = true;
		if (at == 1 && is(parts, at + 1, "**")) {
			parts->items[0] = (char *)".";
			remove_parts(parts, 1, 1);
		} else {
			remove_parts(parts, (size_t)at - 1, 2);
		}
		if (parts->count == 0)
			arena_push(a, parts, arena_text(a, (struct span){0}));
		at -= 2;
	}
	return changed;
}

static void simplify(struct arena *a, struct arena_list *all)
{
	bool changed;
	do {
		changed = false;
		for (size_t i = 0; i < all->count && a->used < GLOB_MEMORY; i++) { // `all` grows
			struct arena_list *parts = all->items[i];
			changed |= simplify_star_stars(a, parts, all);
			changed |= drop_empty(parts);
			changed |= take_back(a, parts);
		}
	} while (changed && a->used < GLOB_MEMORY);
}

static bool starred_over(const struct arena_list *star, size_t si, const struct arena_list *other, size_t oi)
{
	const char *o = other->items[oi];
	return is(star, (ssize_t)si, "*") && o[0] != '\0' && o[0] != '.' && strcmp(o, "**") != 0;
}

// If one pattern matches all that the other does, that one; else NULL.
static struct arena_list *wider(struct arena *a, const struct arena_list *x, const struct arena_list *y)
{
	size_t i = 0, k = 0;
	char which = 0;
	struct arena_list *out = arena_alloc(a, sizeof(*out));
	while (i < x->count && k < y->count) {
		if (strcmp(x->items[i], y->items[k]) == 0) {
			arena_push(a, out, x->items[i]);
			i++, k++;
		} else if (is(x, (ssize_t)i, "**") && is(x, (ssize_t)i + 1, y->items[k])) {
			arena_push(a, out, x->items[i++]);
		} else if (is(y, (ssize_t)k, "**") && is(y, (ssize_t)k + 1, x->items[i])) {
			arena_push(a, out, y->items[k++]);
		} else if (starred_over(x, i, y, k) && which != 'y') {
			which = 'x';
			arena_push(a, out, x->items[i]);
			i++, k++;
		} else if (starred_over(y, k, x, i) && !starred_over(x, i, y, k) && which != 'x') {
			which = 'y';
			arena_push(a, out, y->items[k]);
			i++, k++;
		} else {
			return NULL;
		}
	}
	return x->count == y->count ? out : NULL;
}

static void merge(struct arena *a, struct arena_list *all)
{
	for (size_t i = 0; i + 1 < all->count && a->used < GLOB_MEMORY; i++) {
		for (size_t k = i + 1; k < all->count && a->used < GLOB_MEMORY; k++) {
			struct arena_list *both = wider(a, all->items[i], all->items[k]);
			if (both == NULL)
				continue;
			((struct arena_list *)all->items[i])->count = 0;
			all->items[k] = both;
			break;
		}
	}
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = *(const char *const *const *)a, *const *y = *(const char *const *const *)b;
	int order = strcmp(*x, *y);
	return order != 0 ? order : (x > y) - (x < y);
}

// Drops all but the first of equal ones.
static void drop_doubles(struct arena *a, struct arena_list *list)
{
	void ***sorted = arena_alloc(a, list->count * sizeof(*sorted));
	for (size_t i = 0; i < list->count; i++)
		sorted[i] = &list->items[i];
	qsort(sorted, list->count, sizeof(*sorted), by_text);
	const char *last = NULL;
	for (size_t i = 0; i < list->count; i++) {
		const char *s = *sorted[i];
		if (last != NULL && strcmp(s, last) == 0)
			*sorted[i] = NULL;
		else
			last = s;
	}
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i] != NULL)
			list->items[kept++] = list->items[i];
	list->count = kept;
}

static struct result add_pattern(struct glob_patterns *g, const struct arena_list *parts, struct err *e)
{
	struct glob_pattern *p = arena_alloc(&g->arena, sizeof(*p));
	p->parts = arena_alloc(&g->arena, parts->count * sizeof(*p->parts));
	p->count = parts->count;
	for (size_t i = 0; i < parts->count; i++)
		TRY(glob_part_compile(g, parts->items[i], &p->parts[i], e));
	arena_push(&g->arena, &g->list, p);
	return OK;
}

struct result glob_compile(struct span pattern, struct glob_patterns *g, struct err *e)
{
	struct arena *a = &g->arena;
	struct arena_list expanded = {0}, all = {0};
	*g = (struct glob_patterns){0};
	if (text_units(pattern) > GLOB_PATTERN_UNITS)
		return err_set(e, ERR_TOO_LARGE, "pattern is too long");
	char *text = arena_text(a, pattern);
	for (char *c = text; *c != '\0'; c++) // a backslash is another slash, not an escape
		*c = *c == '\\' ? '/' : *c;
	TRY(glob_brace_expand(a, text, &expanded, e));
	drop_doubles(a, &expanded);
	for (size_t i = 0; i < expanded.count; i++) {
		struct arena_list *parts = arena_alloc(a, sizeof(*parts));
		split(a, expanded.items[i], parts);
		arena_push(a, &all, parts);
	}
	simplify(a, &all);
	merge(a, &all);
	if (a->used >= GLOB_MEMORY)
		return err_set(e, ERR_TOO_LARGE, "pattern expands to too much");
	for (size_t i = 0; i < all.count; i++) {
		const struct arena_list *parts = all.items[i];
		if (parts->count > 0)
			TRY(add_pattern(g, parts, e));
	}
	return OK;
}

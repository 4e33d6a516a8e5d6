// glob: files by pattern, newest first.
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "tools/file_tools.h"
#include "tools/glob.h"
#include "tools/js.h"
#include "tools/path.h"

#define ENTRIES_MAX 50000
#define HITS_MAX 200

struct hit {
	char *path;
	double mtime; // milliseconds, as JavaScript has it: what differs by less than a double can hold is the same age
	size_t order;
};

struct search {
	const char *real_root;
	struct hit *hits;
	size_t count, cap;
	size_t remaining;
};

// A literal or brace-expanded ".." would walk out of the root; what it found there would be dropped anyway.
static bool can_ascend(struct span pattern)
{
	while (pattern.len > 0) {
		size_t n = 0;
		while (n < pattern.len && strchr("\\/{},", pattern.data[n]) == NULL)
			n++;
		if (n == 2 && memcmp(pattern.data, "..", 2) == 0)
			return true;
		pattern = span_skip(pattern, n + 1);
	}
	return false;
}

static bool found(void *arg, const struct glob_entry *entry)
{
	struct search *s = arg;
	struct stat st;
	if (s->remaining-- == 0)
		return false;
	if (entry->type != DT_REG)
		return true;
	AUTO_FREE char *full = path_join(entry->parent, entry->name);
	// A pattern may name a link to a directory elsewhere: what lies outside of the root is not for the model.
	AUTO_FREE char *real = realpath(full, NULL);
	if (real == NULL || !path_is_within(s->real_root, real))
		return true;
	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? 256 : 2 * s->cap;
		s->hits = mem_grow(s->hits, s->cap, sizeof(*s->hits));
	}
	double mtime = stat(full, &st) < 0 ? 0 : (double)st.st_mtim.tv_sec * 1e3 + (double)st.st_mtim.tv_nsec / 1e6;
	s->hits[s->count] = (struct hit){STEAL(full), mtime, s->count};
	s->count++;
	return true;
}

static int newest_first(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;
	if (x->mtime != y->mtime)
		return x->mtime < y->mtime ? 1 : -1;
	return x->order < y->order ? -1 : 1;
}

static void answer_hits(struct search *s, struct answer *a)
{
	if (s->count == 0)
		return answer_text(a, SPAN_LIT("no matches"));
	qsort(s->hits, s->count, sizeof(*s->hits), newest_first);
	answer_text(a, (struct span){0});
	for (size_t i = 0; i < s->count && i < HITS_MAX; i++)
		BUG_ON(!buf_add_str(&a->text, i > 0 ? "\n" : "") || !buf_add_str(&a->text, s->hits[i].path));
}

static void search(const char *pattern, const char *root, struct answer *a)
{
	struct glob_patterns patterns;
	struct err e;
	struct search s = {.remaining = ENTRIES_MAX};
	AUTO_FREE char *real_root = NULL;
	int error = path_canonical(root, &real_root);
	if (error != 0)
		return path_answer(a, "glob", ".", error);
	s.real_root = real_root;
	if (failed(glob_compile(span_of(pattern), &patterns, &e))) {
		answer_error(a, "glob: %s", e.msg);
	} else {
		glob_walk(&patterns, root, found, &s);
		answer_hits(&s, a);
	}
	glob_fini(&patterns);
	for (size_t i = 0; i < s.count; i++)
		free(s.hits[i].path);
	free(s.hits);
}

static void not_a_string(const json_t *v, struct answer *a)
{
	AUTO_BUF struct buf text;
	buf_init(&text, a->text.max);
	js_received(v, &text);
	answer_error(a, "Error: The \"path\" argument must be of type string. %s", buf_str(&text));
}

void glob_tool(const json_t *input, const char *workdir, struct answer *a)
{
	const json_t *pattern = json_object_get(input, "pattern");
	const json_t *path = json_object_get(input, "path");
	if (!js_truthy(pattern))
		return answer_error(a, "glob: pattern is required");
	if (!json_is_string(pattern))
		return not_a_string(pattern, a);
	const char *text = json_string_value(pattern);
	struct span span = span_from(text, json_string_length(pattern));
	if (text[0] == '/')
		return answer_error(a, "glob: absolute pattern not permitted; pass a relative pattern (and optionally path)");
	if (can_ascend(span))
		return answer_error(a, "glob: \"..\" is not permitted in the pattern");
	AUTO_FREE char *root = js_truthy(path) ? path_confine(path, workdir, a) : path_resolve("/", workdir);
	if (root == NULL)
		return;
	if (strlen(text) != span.len) // no file has a name with a NUL
		return answer_text(a, SPAN_LIT("no matches"));
	search(text, root, a);
}

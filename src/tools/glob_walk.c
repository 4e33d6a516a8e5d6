// The walk: a stack of (path, states); a state is a pattern and the set of positions in it that the path has reached. The rules
// are those of Node 22's fs.glob, oddities included, so that the same entries come in the same order.
#include <dirent.h>
#include <string.h>

#include "base/mem.h"
#include "tools/glob.h"
#include "tools/glob_cache.h"
#include "tools/path.h"

struct positions { // in the order they were added
	size_t *at;
	size_t count, cap;
};

struct state {
	const struct glob_pattern *pattern;
	struct positions indexes, links; // links: positions that were reached through a symbolic link
};

struct visit {
	const char *path; // relative to the root, or "/…"
	struct arena_list states;
};

struct walk {
	const char *root;
	struct glob_cache cache;
	struct arena_list stack, next; // struct visit *; `next` is what this visit leads to
	bool (*found)(void *arg, const struct glob_entry *entry);
	void *arg;
	bool stopped;
};

static bool has(const struct positions *p, size_t index)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->at[i] == index)
			return true;
	return false;
}

static void add(struct walk *w, struct positions *p, size_t index)
{
	if (has(p, index))
		return;
	if (p->count == p->cap) {
		p->cap = p->cap == 0 ? 4 : 2 * p->cap;
		size_t *more = arena_alloc(&w->cache.arena, p->cap * sizeof(*more));
		if (p->count > 0)
			memcpy(more, p->at, p->count * sizeof(*more));
		p->at = more;
	}
	p->at[p->count++] = index;
}

// The part at a position; NULL beyond the last.
static const struct glob_part *part_at(const struct state *s, size_t index)
{
	return index < s->pattern->count ? &s->pattern->parts[index] : NULL;
}

static bool is_star_star(const struct glob_part *p)
{
	return p != NULL && p->kind == GLOB_STAR_STAR;
}

static bool is_name(const struct glob_part *p, const char *name)
{
	return p != NULL && p->kind == GLOB_NAME && strcmp(p->name, name) == 0;
}

static bool matches(const struct state *s, size_t index, const char *name)
{
	const struct glob_part *p = part_at(s, index);
	return p != NULL && glob_part_matches(p, name);
}

static struct state *new_state(struct walk *w, const struct glob_pattern *pattern, size_t index)
{
	struct state *s = arena_alloc(&w->cache.arena, sizeof(*s));
	s->pattern = pattern;
	add(w, &s->indexes, index);
	return s;
}

// The rest of the pattern from a position, as it was written.
static char *rest_of(const struct state *s, size_t index)
{
	size_t n = 1;
	for (size_t i = index; i < s->pattern->count; i++)
		n += strlen(s->pattern->parts[i].raw) + 1;
	char *out = mem_alloc(n), *to = out;
	for (size_t i = index; i < s->pattern->count; i++) {
		to = stpcpy(to, s->pattern->parts[i].raw);
		if (i + 1 < s->pattern->count)
			*to++ = '/';
	}
	*to = '\0';
	return out;
}

static bool was_done(struct walk *w, const char *path, const struct state *s, size_t index)
{
	AUTO_FREE char *rest = rest_of(s, index);
	return glob_cache_was_done(&w->cache, path, rest);
}

// False when any of the state's positions was done for the path before.
static bool begin(struct walk *w, const char *path, const struct state *s)
{
	bool fresh = true;
	for (size_t i = 0; i < s->indexes.count; i++) {
		AUTO_FREE char *rest = rest_of(s, s->indexes.at[i]);
		fresh &= glob_cache_do(&w->cache, path, rest);
	}
	return fresh;
}

static void report(struct walk *w, const char *path, const struct glob_entry *e)
{
	if (w->stopped || !glob_cache_is_new_result(&w->cache, path))
		return;
	if (e != NULL && !w->found(w->arg, e))
		w->stopped = true;
}

static bool is_excluded(const struct glob_entry *e)
{
	return strcmp(e->name, ".git") == 0 || strcmp(e->name, "node_modules") == 0;
}

static void go_on(struct walk *w, const char *path, struct state *s)
{
	// The path is looked up from the current directory, not from the root: that is how Node does it.
	const struct glob_entry *e = glob_cache_stat_again(&w->cache, path);
	if (e != NULL && is_excluded(e))
		return;
	for (size_t i = 0; i < w->next.count; i++) {
		struct visit *v = w->next.items[i];
		if (strcmp(v->path, path) == 0) {
			arena_push(&w->cache.arena, &v->states, s);
			return;
		}
	}
	struct visit *v = arena_alloc(&w->cache.arena, sizeof(*v));
	v->path = arena_text(&w->cache.arena, span_of(path));
	arena_push(&w->cache.arena, &v->states, s);
	arena_push(&w->cache.arena, &w->next, v);
}

// One directory entry, looked at from one state of the directory.
struct child {
	const char *dir;      // the directory's path
	const char *dir_full; // and from the root of the file system
	const char *path;     // the entry's
	const struct glob_entry *entry;
	const struct state *state;
	bool dir_is_last;
	struct positions indexes, links; // what the entry reaches
};

static void parent_matches(struct walk *w, const struct child *c, size_t next)
{
	const struct state *s = c->state;
	AUTO_FREE char *parent = path_join(c->dir, "..");
	AUTO_FREE char *parent_full = path_join(w->root, parent);
	size_t after = next < s->pattern->count - 1 ? next + 1 : next;
	const char *both[] = {c->dir, parent};
	const char *full[] = {c->dir_full, parent_full};
	for (size_t i = 0; i < 2; i++) {
		if (was_done(w, both[i], s, after))
			continue;
		struct state *there = new_state(w, s->pattern, after);
		if (after != next) {
			bool queued = false;
			for (size_t k = 0; k < w->next.count; k++)
				queued |= strcmp(((struct visit *)w->next.items[k])->path, both[i]) == 0;
			if (!queued) {
				struct visit *v = arena_alloc(&w->cache.arena, sizeof(*v));
				v->path = arena_text(&w->cache.arena, span_of(both[i]));
				arena_push(&w->cache.arena, &v->states, there);
				arena_push(&w->cache.arena, &w->next, v);
			}
		} else {
			begin(w, both[i], there);
			report(w, both[i], glob_cache_stat_again(&w->cache, full[i]));
		}
	}
}

static void match_star_star(struct walk *w, struct child *c, size_t index)
{
	const struct state *s = c->state;
	const struct glob_entry *e = c->entry;
	size_t last = s->pattern->count - 1, next = index + 1, name = next;
	bool directory = e->type == DT_DIR, link = e->type == DT_LNK, from_link = has(&s->links, index);
	while (is_star_star(part_at(s, name)))
		name++;
	if ((e->name[0] == '.' && !matches(s, name, e->name)) || is_excluded(e))
		return;
	bool next_matches = matches(s, next, e->name);
	if (!from_link && directory)
		add(w, &c->indexes, index);
	else if (!from_link && index == last)
		report(w, c->path, e);
	if (next_matches && next == last && !c->dir_is_last)
		report(w, c->path, e);
	else if (next_matches && directory)
		add(w, &c->indexes, index + 2);
	if ((next_matches || is_name(part_at(s, 0), ".")) && (directory || link) && !from_link)
		add(w, &c->indexes, next);
	if (link)
		add(w, &c->links, index);
	if (is_name(part_at(s, next), "..") && directory)
		parent_matches(w, c, next);
}

static void match_name(struct walk *w, struct child *c, size_t index)
{
	const struct state *s = c->state;
	size_t last = s->pattern->count - 1, next = index + 1;
	if (matches(s, index, c->entry->name) && index != last) {
		add(w, &c->indexes, next);
	} else if (is_name(part_at(s, index), ".") && matches(s, next, c->entry->name)) {
		if (next == last)
			report(w, c->path, c->entry);
		else
			add(w, &c->indexes, next + 1);
	}
}

static void match_regex(struct walk *w, struct child *c, size_t index)
{
	if (!matches(c->state, index, c->entry->name))
		return;
	if (index == c->state->pattern->count - 1)
		report(w, c->path, c->entry);
	else if (c->entry->type == DT_DIR)
		add(w, &c->indexes, index + 1);
}

// False when the entry was done before in any way: then the rest of the directory is left out too.
static bool match_child(struct walk *w, struct child *c)
{
	const struct state *s = c->state;
	for (size_t i = 0; i < s->indexes.count; i++) {
		size_t index = s->indexes.at[i];
		const struct glob_part *p = part_at(s, index);
		if (was_done(w, c->path, s, index) || was_done(w, c->path, s, index + 1))
			return false;
		if (p == NULL)
			continue;
		if (p->kind == GLOB_STAR_STAR)
			match_star_star(w, c, index);
		else if (p->kind == GLOB_NAME)
			match_name(w, c, index);
		else
			match_regex(w, c, index);
	}
	if (c->indexes.count > 0) {
		struct state *there = arena_alloc(&w->cache.arena, sizeof(*there));
		*there = (struct state){s->pattern, c->indexes, c->links};
		go_on(w, c->path, there);
	}
	return true;
}

static void match_children(struct walk *w, const char *path, const char *full, const struct state *s, bool is_last)
{
	struct arena_list one = {0};
	const struct arena_list *children = &one;
	const struct glob_part *first = s->indexes.count == 1 ? part_at(s, s->indexes.at[0]) : NULL;
	if (first != NULL && first->kind == GLOB_NAME) {
		AUTO_FREE char *child = path_join(full, first->name);
		struct glob_entry *e = glob_cache_stat(&w->cache, child);
		if (e == NULL)
			return;
		e->name = (char *)first->name;
		arena_push(&w->cache.arena, &one, e);
	} else {
		children = glob_cache_list(&w->cache, full);
	}
	for (size_t i = 0; i < children->count && !w->stopped; i++) {
		struct glob_entry *e = children->items[i];
		AUTO_FREE char *child = path_join(path, e->name);
		AUTO_FREE char *child_full = path_join(full, e->name);
		glob_cache_put(&w->cache, child_full, e);
		struct child c = {.dir = path, .dir_full = full, .path = child, .entry = e, .state = s, .dir_is_last = is_last};
		if (!match_child(w, &c))
			return;
	}
}

// A pattern that begins at "/", ".." or "." goes there first.
static bool redirect(struct walk *w, const struct state *s)
{
	static const char *const from[] = {"", "..", "."}, *const to[] = {"/", "../", "."};
	if (!has(&s->indexes, 0))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		if (is_name(part_at(s, 0), from[i])) {
			go_on(w, to[i], new_state(w, s->pattern, 1));
			return true;
		}
	}
	return false;
}

// Reports the directory itself, or what a fixed last name in it leads to. False when nothing else can match here.
static bool match_itself(struct walk *w, const char *path, const char *full, const struct glob_entry *e, const struct state *s,
                         bool directory)
{
	size_t last = s->pattern->count - 1;
	const struct glob_part *p = part_at(s, last);
	if (p->kind == GLOB_NAME) {
		AUTO_FREE char *there_full = path_join(full, p->name);
		AUTO_FREE char *there = path_join(path, p->name);
		const struct glob_entry *found = glob_cache_stat(&w->cache, there_full);
		if (found != NULL && (p->name[0] != '\0' || directory))
			report(w, there, found);
		return !(s->indexes.count == 1 && has(&s->indexes, last));
	}
	if (p->kind == GLOB_STAR_STAR && (strcmp(path, ".") != 0 || is_name(part_at(s, 0), ".") || (last == 0 && e != NULL)))
		report(w, path, e);
	return true;
}

static void visit_state(struct walk *w, const char *path, const struct state *s)
{
	if (!begin(w, path, s))
		return;
	AUTO_FREE char *full = path_resolve(w->root, path);
	const struct glob_entry *e = glob_cache_stat(&w->cache, full);
	size_t last = s->pattern->count - 1;
	bool off_link = false;
	for (size_t i = 0; i < s->indexes.count; i++)
		off_link |= !has(&s->links, s->indexes.at[i]);
	bool directory = e != NULL && (e->type == DT_DIR || (e->type == DT_LNK && off_link));
	bool is_last = has(&s->indexes, last) || (is_name(part_at(s, last), "") && directory && last > 0 &&
	                                          has(&s->indexes, last - 1) && is_star_star(part_at(s, last - 1)));
	if (redirect(w, s))
		return;
	if (is_last && !match_itself(w, path, full, e, s, directory))
		return;
	if (directory)
		match_children(w, path, full, s, is_last);
}

void glob_walk(const struct glob_patterns *g, const char *root, bool (*found)(void *arg, const struct glob_entry *entry),
               void *arg)
{
	struct walk w = {.root = root, .found = found, .arg = arg};
	struct arena *a = &w.cache.arena;
	struct visit *first = arena_alloc(a, sizeof(*first));
	first->path = ".";
	for (size_t i = 0; i < g->list.count; i++)
		arena_push(a, &first->states, new_state(&w, g->list.items[i], 0));
	arena_push(a, &w.stack, first);
	while (w.stack.count > 0 && !w.stopped) {
		struct visit *v = w.stack.items[--w.stack.count];
		for (size_t i = 0; i < v->states.count && !w.stopped; i++)
			visit_state(&w, v->path, v->states.items[i]);
		for (size_t i = 0; i < w.next.count; i++)
			arena_push(a, &w.stack, w.next.items[i]);
		w.next = (struct arena_list){0};
	}
	glob_cache_fini(&w.cache);
}

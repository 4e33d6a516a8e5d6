#include "tools/glob_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

struct glob_slot {
	uint64_t hash;
	const char *key; // NULL: free
	void *value;
	bool asked; // by glob_cache_stat
};

static uint64_t hash_text(const char *s, uint64_t h) // FNV-1a
{
	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001B3U;
	return h;
}

static struct glob_slot *find(const struct glob_table *t, const char *key, uint64_t hash)
{
	size_t i = hash & (t->size - 1);
	while (t->slots[i].key != NULL && (t->slots[i].hash != hash || strcmp(t->slots[i].key, key) != 0))
		i = (i + 1) & (t->size - 1);
	return &t->slots[i];
}

static void grow(struct glob_table *t)
{
	struct glob_table bigger = {mem_zero((t->size == 0 ? 256 : 2 * t->size) * sizeof(struct glob_slot)), t->count,
	                            t->size == 0 ? 256 : 2 * t->size};
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].key != NULL)
			*find(&bigger, t->slots[i].key, t->slots[i].hash) = t->slots[i];
	free(t->slots);
	*t = bigger;
}

// The slot of a key; a new one has no value yet. *fresh tells.
static struct glob_slot *slot_of(struct glob_cache *c, struct glob_table *t, const char *key, bool *fresh)
{
	if (2 * t->count >= t->size)
		grow(t);
	uint64_t hash = hash_text(key, 0xCBF29CE484222325U);
	struct glob_slot *s = find(t, key, hash);
	*fresh = s->key == NULL;
	if (*fresh) {
		s->hash = hash;
		s->key = arena_text(&c->arena, span_of(key));
		t->count++;
	}
	return s;
}

void glob_cache_fini(struct glob_cache *c)
{
	free(c->entries.slots);
	free(c->directories.slots);
	free(c->done.slots);
	free(c->results.slots);
	arena_fini(&c->arena);
	*c = (struct glob_cache){0};
}

static struct glob_entry *look(struct glob_cache *c, const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return NULL;
	struct glob_entry *e = arena_alloc(&c->arena, sizeof(*e));
	struct span p = span_of(path);
	while (p.len > 1 && p.data[p.len - 1] == '/')
		p.len--;
	const char *slash = memrchr(p.data, '/', p.len);
	size_t base = slash == NULL ? 0 : (size_t)(slash - p.data) + 1;
	e->name = arena_text(&c->arena, span_skip(p, base));
	e->parent = slash == NULL ? arena_text(&c->arena, SPAN_LIT("."))
	            : base == 1   ? arena_text(&c->arena, SPAN_LIT("/"))
	                          : arena_text(&c->arena, span_head(p, base - 1));
	e->type = IFTODT(st.st_mode);
	return e;
}

struct glob_entry *glob_cache_stat(struct glob_cache *c, const char *path)
{
	bool fresh;
	struct glob_slot *s = slot_of(c, &c->entries, path, &fresh);
	if (fresh || (s->value == NULL && !s->asked)) {
		s->value = look(c, path);
		s->asked = true;
	}
	return s->value;
}

struct glob_entry *glob_cache_stat_again(struct glob_cache *c, const char *path)
{
	bool fresh;
	struct glob_slot *s = slot_of(c, &c->entries, path, &fresh);
	if (fresh || s->asked || s->value == NULL) {
		s->value = look(c, path);
		s->asked = false;
	}
	return s->value;
}

void glob_cache_put(struct glob_cache *c, const char *path, struct glob_entry *entry)
{
	bool fresh;
	struct glob_slot *s = slot_of(c, &c->entries, path, &fresh);
	s->value = entry;
	s->asked = false;
}

static int by_name(const void *a, const void *b)
{
	const struct glob_entry *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static unsigned char type_of(int dir, const struct dirent *d)
{
	struct stat st;
	if (d->d_type != DT_UNKNOWN)
		return d->d_type;
	return fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? DT_UNKNOWN : IFTODT(st.st_mode);
}

static void read_directory(struct glob_cache *c, const char *path, struct arena_list *out)
{
	DIR *dir = opendir(path);
	if (dir == NULL)
		return;
	char *parent = arena_text(&c->arena, span_of(path));
	for (const struct dirent *d; (d = readdir(dir)) != NULL;) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || !span_is_utf8(span_of(d->d_name)))
			continue;
		struct glob_entry *e = arena_alloc(&c->arena, sizeof(*e));
		e->name = arena_text(&c->arena, span_of(d->d_name));
		e->parent = parent;
		e->type = type_of(dirfd(dir), d);
		arena_push(&c->arena, out, e);
	}
	closedir(dir);
	if (out->count > 0)
		qsort(out->items, out->count, sizeof(*out->items), by_name);
}

const struct arena_list *glob_cache_list(struct glob_cache *c, const char *path)
{
	bool fresh;
	struct glob_slot *s = slot_of(c, &c->directories, path, &fresh);
	if (fresh) {
		struct arena_list *list = arena_alloc(&c->arena, sizeof(*list));
		read_directory(c, path, list);
		s->value = list;
	}
	return s->value;
}

// A key of two texts: the second begins after a byte that is in no file name.
static char *pair(const char *path, const char *rest)
{
	return mem_printf("%s\x01\xFF%s", path, rest);
}

bool glob_cache_do(struct glob_cache *c, const char *path, const char *rest)
{
	bool fresh;
	AUTO_FREE char *key = pair(path, rest);
	slot_of(c, &c->done, key, &fresh);
	return fresh;
}

bool glob_cache_was_done(const struct glob_cache *c, const char *path, const char *rest)
{
	AUTO_FREE char *key = pair(path, rest);
	return c->done.size > 0 && find(&c->done, key, hash_text(key, 0xCBF29CE484222325U))->key != NULL;
}

bool glob_cache_is_new_result(struct glob_cache *c, const char *path)
{
	bool fresh;
	slot_of(c, &c->results, path, &fresh);
	return fresh;
}

// What a walk remembers of the file system, and which (directory, rest of the pattern) pairs it has done.
#ifndef SALLYPORT_TOOLS_GLOB_CACHE_H
#define SALLYPORT_TOOLS_GLOB_CACHE_H

#include "tools/glob.h"

struct glob_slot;

struct glob_table { // text to pointer
	struct glob_slot *slots;
	size_t count, size;
};

struct glob_cache {
	struct arena arena;
	struct glob_table entries, directories, done, results;
};

void glob_cache_fini(struct glob_cache *c);

// What lstat says about a path, NULL when there is nothing. The entry is the one the walk shares with everybody who looks
// there.
struct glob_entry *glob_cache_stat(struct glob_cache *c, const char *path);

// As above, but an entry that was found by glob_cache_stat is looked up anew. (Node keeps a promise there.)
struct glob_entry *glob_cache_stat_again(struct glob_cache *c, const char *path);

void glob_cache_put(struct glob_cache *c, const char *path, struct glob_entry *entry);

// A directory's entries, sorted by name, names that are no UTF-8 left out; an empty list when it can't be read.
const struct arena_list *glob_cache_list(struct glob_cache *c, const char *path);

// Marks (path, rest of a pattern) as done; false when it was already. `glob_cache_was_done` only asks.
bool glob_cache_do(struct glob_cache *c, const char *path, const char *rest);
bool glob_cache_was_done(const struct glob_cache *c, const char *path, const char *rest);

bool glob_cache_is_new_result(struct glob_cache *c, const char *path);

#endif

// Glob patterns as Node 22's fs.glob reads them (its minimatch: no escapes, no negation, no comments), and its walk.
//
// A pattern is expanded ({a,b}, {1..9}), split at slashes and simplified; each part is a fixed name, a globstar, or something
// that is matched against names. The order in which the walk reports entries is Node's too, since it decides which come first
// among those of the same age and which are left out over a limit.
#ifndef SALLYPORT_TOOLS_GLOB_H
#define SALLYPORT_TOOLS_GLOB_H

#include "base/err.h"
#include "tools/arena.h"

#define GLOB_PATTERN_UNITS 65536
#define GLOB_EXPANSIONS 100000
#define GLOB_MEMORY ((size_t)64 << 20) // for compiling one pattern

struct glob_regex;

enum glob_kind { GLOB_NAME, GLOB_STAR_STAR, GLOB_REGEX };

struct glob_part {
	enum glob_kind kind;
	const char *raw;  // as it stands in the pattern
	const char *name; // GLOB_NAME
	struct glob_regex *regex;
};

struct glob_pattern {
	struct glob_part *parts;
	size_t count;
};

struct glob_patterns {
	struct arena arena;
	struct arena_list list;    // struct glob_pattern *
	struct arena_list regexes; // struct glob_regex *, freed one by one
};

// ERR_TOO_LARGE "pattern is too long" and the like. The caller calls glob_fini also after a failure.
MUST_USE struct result glob_compile(struct span pattern, struct glob_patterns *g, struct err *e);
void glob_fini(struct glob_patterns *g);

bool glob_part_matches(const struct glob_part *p, const char *name);

// An entry that the walk reports.
struct glob_entry {
	char *name;
	char *parent;       // the directory's path
	unsigned char type; // DT_*
};

// Walks from the absolute `root`; `.git` and `node_modules` are left out. `found` returns false to stop.
void glob_walk(const struct glob_patterns *g, const char *root, bool (*found)(void *arg, const struct glob_entry *entry),
               void *arg);

// The steps of glob_compile.
struct result glob_brace_expand(struct arena *a, const char *pattern, struct arena_list *out, struct err *e);
struct result glob_part_compile(struct glob_patterns *g, const char *raw, struct glob_part *p, struct err *e);

#endif

// Who writes into the log: each role and user has its own sequence and chain of entries.
//
// Their state is kept in the file `writers` beside the log, as a shortcut: what is missing or older is read from the entries.
#ifndef SALLYPORT_RECORDER_WRITERS_H
#define SALLYPORT_RECORDER_WRITERS_H

#include <sys/types.h>

#include "audit/entry.h"

#define WRITERS_MAX 64

struct writer {
	char name[ENTRY_WRITER_MAX];
	uint64_t seq;     // of its last entry, 0: none yet
	struct hash last; // SHA-256 of it
};

struct writers {
	size_t n;
	struct writer w[WRITERS_MAX];
};

// Whether `role` is one that may write.
bool writers_role_known(struct span role);

// "role@uid"
void writers_name(struct span role, uid_t uid, char out[ENTRY_WRITER_MAX]);

// Found or added; NULL when there are WRITERS_MAX already.
struct writer *writers_get(struct writers *ws, const char *name);

// An entry that stands in the log: its writer's state moves on. ERR_CORRUPT when it does not follow the one before.
MUST_USE struct result writers_follow(struct writers *ws, const struct entry *entry, struct span bytes, struct err *e);

// *size is how many entries the state covers. A missing or damaged file gives no writers and 0.
void writers_load(struct writers *ws, const char *dir, uint64_t *size);
MUST_USE struct result writers_save(const struct writers *ws, const char *dir, uint64_t size, struct err *e);

#endif

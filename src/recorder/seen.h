// Which entries came in lately, so that one that is handed in again is stored once.
//
// It remembers the last SEEN_MAX entries. Those can be taken back in the order in which they were added, newest first, when a
// write fails.
#ifndef SALLYPORT_RECORDER_SEEN_H
#define SALLYPORT_RECORDER_SEEN_H

#include "audit/entry.h"
#include "audit/idmap.h"

#define SEEN_MAX 65536

struct seen_entry {
	struct idmap_key key;
	uint64_t index;       // in the log
	uint64_t fingerprint; // of what it says, beside the uid
};

struct seen {
	struct idmap map; // uid → place in the ring
	struct seen_entry *ring;
	uint64_t added;
};

void seen_init(struct seen *s);
void seen_fini(struct seen *s);
// A uid counts within its writer: nobody can use up another's. NULL: not seen. Valid until the next change.
const struct seen_entry *seen_find(const struct seen *s, struct span writer, struct span uid);
void seen_add(struct seen *s, struct span writer, struct span uid, uint64_t index, uint64_t fingerprint);
void seen_take_back(struct seen *s, uint64_t from_index); // forgets the entries from this index on

uint64_t seen_fingerprint(const struct audit_entry *a, const struct entry_stamp *stamp);
uint64_t seen_fingerprint_of(const struct entry *stored); // the same, of an entry read back

#endif

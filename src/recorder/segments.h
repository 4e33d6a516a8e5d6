// The journal's two segments as the recorder writes them. Blocking; used by one thread at a time.
#ifndef SALLYPORT_RECORDER_SEGMENTS_H
#define SALLYPORT_RECORDER_SEGMENTS_H

#include "audit/journal.h"

struct segments;

// An entry to be written, and its leaf hash, which segments_write fills.
struct segments_entry {
	struct span bytes;
	struct hash leaf;
};

// Opens or makes (zero-filled, synced) the segments in DIR/journal, and locks them: ERR_CONFLICT when another recorder has
// the log. `size` is that of each new segment; those that exist keep theirs.
MUST_USE struct result segments_open(const char *dir, size_t size, struct segments **out, struct err *e);
void segments_close(struct segments **s);

// Begins a fresh segment for entries from `first` on, when all before are in a checkpoint. `generation` must be above any
// used before.
MUST_USE struct result segments_begin(struct segments *s, uint64_t generation, uint64_t first, struct err *e);

// Whether `n` entries of `bytes` in all can be written now, given that those below `published` are in a checkpoint.
bool segments_have_room(const struct segments *s, size_t n, size_t bytes, uint64_t published);

// Writes the entries from index `first` on and syncs: when it succeeds they are on disk. After a failure none counts, and the
// next write takes their place.
MUST_USE struct result segments_write(struct segments *s, uint64_t first, struct segments_entry *entries, size_t n,
                                      struct err *e);

#endif

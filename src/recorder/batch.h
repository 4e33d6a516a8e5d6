// Entries on their way to the disk together, and who waits for them.
//
// A batch is filled on the loop, written to the journal by one sync, acknowledged, and kept until its entries are in tiles.
#ifndef SALLYPORT_RECORDER_BATCH_H
#define SALLYPORT_RECORDER_BATCH_H

#include "recorder/segments.h"
#include "recorder/sidecar.h"
#include "recorder/writers.h"

#define BATCH_ENTRIES_MAX 1024
#define BATCH_WAITERS_MAX 4096
#define BATCH_BYTES_MAX (512u << 10) // one entry more may stand above it

struct caller;

// `caller` is NULL when nobody waits any more (it went away, or the entry is the recorder's own).
struct batch_waiter {
	struct caller *caller;
	uint64_t id;
	uint64_t index;
};

struct batch {
	struct batch *next;
	uint64_t first;        // the log index of its first entry
	struct writers before; // the writers' state before it, to return to when it fails
	struct writers after;  // and after it, set by batch_seal
	struct buf bytes;
	size_t *lengths;
	struct segments_entry *entries; // set by batch_seal
	size_t n;
	struct batch_waiter *waiters;
	size_t n_waiters;
	struct sidecar_key *keys; // that must be on disk before it
	size_t n_keys;
	bool failed;
	struct err why;
};

struct batch *batch_new(uint64_t first, const struct writers *before);
void batch_free(struct batch **b);

bool batch_full(const struct batch *b);
void batch_add_waiter(struct batch *b, struct caller *caller, uint64_t id, uint64_t index);
void batch_add_key(struct batch *b, const struct sidecar_key *k); // copied; once
void batch_added(struct batch *b, size_t len);                    // that an entry of `len` bytes was appended to `bytes`
void batch_seal(struct batch *b, const struct writers *after);    // nothing is appended any more: makes `entries`

#endif

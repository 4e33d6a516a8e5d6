// The tiles of the log being written: entry bundles, hash tiles and the checkpoint, in an order that survives a crash
// (reference, section 4): bundles and tiles first, synced with their directories, then the checkpoint by rename.
//
// Used by one thread at a time. After a failure nothing that the old checkpoint covers has changed, and the tiler must be
// loaded again.
#ifndef SALLYPORT_RECORDER_TILER_H
#define SALLYPORT_RECORDER_TILER_H

#include "audit/checkpoint.h"
#include "audit/tile.h"
#include "audit/tree.h"

struct tiler;

// Takes up the log in `dir` at its checkpoint. ERR_CORRUPT when the tiles do not lead to the checkpoint's root, or the
// checkpoint is not signed by this key. `dir` and `signer` are borrowed for the tiler's life.
MUST_USE struct result tiler_load(const char *dir, const struct note_signer *signer, struct tiler **out, struct err *e);
void tiler_free(struct tiler **t);

uint64_t tiler_size(const struct tiler *t); // entries added so far

// Adds an entry; writes, without syncing, what became full.
MUST_USE struct result tiler_add(struct tiler *t, struct span entry, const struct hash *leaf, struct err *e);

// Writes the partial tiles, syncs everything, and publishes the checkpoint.
MUST_USE struct result tiler_publish(struct tiler *t, struct checkpoint *published, struct err *e);

#endif

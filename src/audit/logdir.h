// Reading a log's directory, which may be a copy from elsewhere and hold anything:
//
//	checkpoint      the signed size and root
//	tile/…          hashes and entry bundles (tile.h)
//	journal/0, 1    entries that are in no checkpoint yet (journal.h)
//	log.vkey        the public key: "name+id+key"
#ifndef SALLYPORT_AUDIT_LOGDIR_H
#define SALLYPORT_AUDIT_LOGDIR_H

#include "audit/checkpoint.h"
#include "audit/tile.h"
#include "audit/tree.h"

// ERR_NOT_FOUND when there is none.
MUST_USE struct result logdir_vkey(const char *dir, struct note_verifier *out, struct err *e);
MUST_USE struct result logdir_checkpoint(const char *dir, const struct note_verifier *v, struct checkpoint *out, struct err *e);

// The first `width` hashes of a tile, from its partial file of that width or else from the full one.
MUST_USE struct result logdir_tile(const char *dir, int level, uint64_t index, unsigned width, struct hash *out, struct err *e);
// Likewise a bundle's first `width` entries as they stand in the file; `out` needs a maximum of TILE_BUNDLE_MAX.
MUST_USE struct result logdir_bundle(const char *dir, uint64_t index, unsigned width, struct buf *out, struct err *e);

// Calls `each` for the entries [from, to), which bundles must hold, in order; a failure stops the walk and is passed on.
MUST_USE struct result logdir_walk(const char *dir, uint64_t from, uint64_t to,
                                   struct result (*each)(void *arg, uint64_t index, struct span entry, struct err *e),
                                   void *arg, struct err *e);

struct logdir_tail {
	bool present; // there is a journal
	bool gap;  // it goes on after `next`: what lies between is not there (or, from `from` on, a newer checkpoint covers it)
	bool torn; // its last record was cut off by a crash and never acknowledged
	uint64_t next;       // one past its last entry; `from` when it holds nothing new
	uint64_t generation; // the newest segment's
};

// Calls `each` for the journal's entries from index `from` on, in order and without gaps.
MUST_USE struct result logdir_journal(const char *dir, uint64_t from,
                                      struct result (*each)(void *arg, uint64_t index, struct span entry,
                                                            const struct hash *leaf, struct err *e),
                                      void *arg, struct logdir_tail *tail, struct err *e);

// Proofs out of the tiles of a log of `size` entries.
struct logdir_proofs {
	const char *dir;
	uint64_t size;
};
struct tree_source logdir_source(struct logdir_proofs *p); // borrows `p`

#endif

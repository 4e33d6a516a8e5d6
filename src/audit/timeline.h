// What a session did, in order: each intent with the outcome that belongs to it, and whatever stands alone.
#ifndef SALLYPORT_AUDIT_TIMELINE_H
#define SALLYPORT_AUDIT_TIMELINE_H

#include "audit/entry.h"

#define TIMELINE_MAX 20000 // rows; of a longer one the newest are kept

struct timeline_row {
	uint64_t index;
	struct entry entry; // the intent, or what stands alone
	bool has_outcome;
	uint64_t outcome_index;
	struct entry outcome;
};

struct timeline {
	struct timeline_row *rows;
	size_t n;
	uint64_t left_out;    // older rows
	uint64_t signed_size; // entries that the checkpoint covers
};

// Reads the log in `dir` with its own key: what it shows is signed as far as `audit verify` says so. Entries before `from` are
// passed over; `session` empty: all sessions'. The caller frees with timeline_fini, also after a failure.
MUST_USE struct result timeline_read(const char *dir, uint64_t from, struct span session, struct timeline *out, struct err *e);

// How many entries the newest checkpoint covers: what is recorded from now on has this number or a higher one.
MUST_USE struct result timeline_signed_size(const char *dir, uint64_t *size, struct err *e);
void timeline_fini(struct timeline *t);

#endif

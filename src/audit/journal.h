// The recorder's journal: entries that are on disk and in no tile yet.
//
// Two segments, journal/0 and journal/1, preallocated and zero-filled, used in turns. A segment starts with a header page;
// then records follow each other until the first that does not check:
//
//	length u32 | zero u32 | index u64 | check[16] | entry bytes        (numbers big-endian)
//
// A record's check is cut from SHA-256(check of the record before || index || leaf hash), and the first one's predecessor is
// the header's random salt. So whatever stood in the segment before, or was written there by an attempt that failed, can't be
// taken for what follows now, and a record that was torn by a crash ends the journal.
#ifndef SALLYPORT_AUDIT_JOURNAL_H
#define SALLYPORT_AUDIT_JOURNAL_H

#include <stdint.h>

#include "audit/hash.h"
#include "base/buf.h"

#define JOURNAL_SEGMENTS 2
#define JOURNAL_HEADER 4096
#define JOURNAL_RECORD_HEADER 32
#define JOURNAL_SEGMENT_MIN (1u << 20)
#define JOURNAL_SEGMENT_MAX (256u << 20)

struct journal_check {
	unsigned char b[16];
};

struct journal_header {
	uint64_t generation; // counts up: which of the two segments is the newer
	uint64_t first;      // the index of the first record
	struct journal_check salt;
};

void journal_header_write(const struct journal_header *h, unsigned char out[JOURNAL_HEADER]);
// False when it is none of ours, or torn: the segment holds nothing then.
bool journal_header_read(struct span segment, struct journal_header *out);

// Appends a record and moves *chain on.
MUST_USE bool journal_record_write(struct buf *out, struct journal_check *chain, uint64_t index, struct span entry,
                                   const struct hash *leaf);

// Reads a segment's records in order. On false *rest_torn tells whether a record had been begun there.
struct journal_reader {
	struct span rest;
	struct journal_check chain;
	uint64_t index; // of the next record
};

void journal_reader_init(struct journal_reader *r, struct span segment, const struct journal_header *h);
bool journal_reader_next(struct journal_reader *r, struct span *entry, struct hash *leaf, bool *torn);

#endif

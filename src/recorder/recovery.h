// Taking up a log after whatever ended the last recorder: a stop, a kill, a power cut.
#ifndef SALLYPORT_RECORDER_RECOVERY_H
#define SALLYPORT_RECORDER_RECOVERY_H

#include "recorder/seen.h"
#include "recorder/segments.h"
#include "recorder/tiler.h"
#include "recorder/writers.h"

// How many of the newest entries' uids are known again after a start: more than can be unacknowledged at any time.
#define RECOVERY_SEEN 4096

struct recovery {
	uint64_t from_journal; // entries that stood in the journal only, and are in the checkpoint now
	bool torn;             // a record that was cut off, and had not been acknowledged, was dropped
	struct tiler *tiler;   // the caller's, as is what `seen` holds
	struct writers writers;
	struct seen seen;
};

// Checks the log against its checkpoint, publishes what the journal holds beyond it, and begins a fresh segment. ERR_CORRUPT
// when something that was signed or acknowledged is not there: nothing may be appended then.
MUST_USE struct result recovery_run(const char *dir, const struct note_signer *signer, struct segments *segments,
                                    struct recovery *out, struct err *e);

#endif

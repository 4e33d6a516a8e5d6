// Verifying a log's directory, offline, with nothing but its public key.
#ifndef SALLYPORT_AUDIT_VERIFY_H
#define SALLYPORT_AUDIT_VERIFY_H

#include "audit/chain.h"
#include "audit/checkpoint.h"
#include "audit/findings.h"

// An intent that is still without its outcome this long before the newest entry is a finding.
#define VERIFY_OPEN_MS (15 * 60 * 1000)

struct verify_report {
	struct checkpoint checkpoint;
	bool has_checkpoint;
	uint64_t uncovered; // entries in the journal that no checkpoint covers yet
	bool journal;       // there is one
	bool torn;          // it ends in a record that was cut off
	int64_t covered_ms; // the newest covered entry's time, 0: none
	struct chain chain; // writers, and open intents in their order
	struct findings findings;
};

// Fails only when there is nothing to verify or it can't be read; what is wrong with the log stands in the report, which
// verify_fini frees in every case. `kept` is a checkpoint of this log that was kept elsewhere, or NULL: the log must go on from
// it, which shows what its own signature can't, that it was neither set back nor written anew by who has the key.
MUST_USE struct result verify_run(const char *dir, const struct note_verifier *key, const struct checkpoint *kept,
                                  struct verify_report *out, struct err *e);
void verify_fini(struct verify_report *r);

#endif

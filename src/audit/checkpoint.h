// A checkpoint (C2SP tlog-checkpoint v1.0.0): a signed note that says how many entries a log has and its tree's root.
#ifndef SALLYPORT_AUDIT_CHECKPOINT_H
#define SALLYPORT_AUDIT_CHECKPOINT_H

#include <stdint.h>

#include "audit/hash.h"
#include "audit/note.h"

struct checkpoint {
	uint64_t size;
	struct hash root;
};

// Appends the signed note. The origin line is the signer's name.
MUST_USE struct result checkpoint_sign(const struct checkpoint *c, const struct note_signer *s, struct buf *out, struct err *e);

// Opens a note signed by `v`, whose name must be the origin. Extension lines are allowed and ignored.
MUST_USE struct result checkpoint_open(struct span note, const struct note_verifier *v, struct checkpoint *out, struct err *e);

#endif

// What entries say about each other: each writer's numbers and hashes without a gap, each outcome after its intent.
#ifndef SALLYPORT_AUDIT_CHAIN_H
#define SALLYPORT_AUDIT_CHAIN_H

#include "audit/entry.h"
#include "audit/findings.h"
#include "audit/idmap.h"

// An intent whose outcome has not been seen.
struct chain_open {
	struct idmap_key key;
	uint64_t index;
	int64_t time_ms;
	char *uid, *operation, *object, *session; // heap; "" when there is none
};

struct chain_writer {
	char *name;
	uint64_t seq;
	struct hash last;
	bool last_doubtful; // the entry itself is not what was signed: the next one's prev says nothing new
};

struct chain {
	struct chain_writer *writers;
	size_t n_writers;
	struct idmap open_map; // uid → place in `open`
	struct chain_open *open;
	size_t n_open;
	int64_t last_ms; // the newest entry's time
	bool doubts;     // there was a doubtful entry: an intent that is not found may have been that one
};

void chain_init(struct chain *c);
void chain_fini(struct chain *c);

// The next entry of the log. `doubtful`: its bytes are known to be wrong already.
void chain_add(struct chain *c, uint64_t index, struct span bytes, bool doubtful, struct findings *f);

// The open intents in the order of their indices.
void chain_sort_open(struct chain *c);

#endif

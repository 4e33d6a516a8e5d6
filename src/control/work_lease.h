// A work item's way through its states: claim, acknowledge, beat, stop, lapse. On the store's thread, one transaction each.
#ifndef SALLYPORT_CONTROL_WORK_LEASE_H
#define SALLYPORT_CONTROL_WORK_LEASE_H

#include "control/work_tx.h"

struct work_claim {
	char environment[ID_MAX];
	char *worker, *journal; // "" without; owned by the caller
	int64_t reclaim_us;
	char token[SECRET_MAX]; // for the item's secret, made before: only its hash is stored
	bool found;
};

// Claims the oldest item that may be: unclaimed, or claimed and not acknowledged for `reclaim_us`; one whose calls are held for
// another journal is passed over. The answer is the item with its secret, or null.
MUST_USE struct result work_lease_claim(struct op *op, struct store_tx *tx, struct work_claim *c, struct err *e);
// Puts a claim back whose answer never reached its poller.
MUST_USE struct result work_lease_unclaim(struct op *op, struct store_tx *tx, const char *environment, const char *id,
                                          int64_t epoch, struct err *e);

struct work_verb {
	char environment[ID_MAX], id[ID_MAX];
	bool force;          // stop
	bool superseded;     // asked with a token whose lease has ended
	int64_t epoch;       // of that token, or -1: another credential
	char *expected;      // heartbeat: NULL: not given
	int64_t desired_ttl; // heartbeat: seconds, 0: not given
	json_t *metadata;    // update
};

MUST_USE struct result work_lease_ack(struct op *op, struct store_tx *tx, struct work_verb *v, struct err *e);
MUST_USE struct result work_lease_heartbeat(struct op *op, struct store_tx *tx, struct work_verb *v, struct err *e);
MUST_USE struct result work_lease_stop(struct op *op, struct store_tx *tx, struct work_verb *v, struct err *e);
// The lease's time has run out: back to the queue, or stopped when that was wanted or the session is over.
MUST_USE struct result work_lease_lapse(struct op *op, struct store_tx *tx, const char *environment, const char *id,
                                        struct err *e);

#endif

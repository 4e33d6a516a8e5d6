// Work items inside a write transaction (managed-agents-api.md 2.1, 2.2). On the store's thread.
#ifndef SALLYPORT_CONTROL_WORK_TX_H
#define SALLYPORT_CONTROL_WORK_TX_H

#include "control/session_tx.h"

enum work_state { WORK_QUEUED, WORK_STARTING, WORK_ACTIVE, WORK_STOPPING, WORK_STOPPED };

#define WORK_TTL_DEFAULT_S 60
#define WORK_TTL_MIN_S 5
#define WORK_TTL_MAX_S 300
// A lease ends so long after its TTL: a beat that is on its way still counts.
#define WORK_LAPSE_GRACE_US 500000

struct work_row {
	int64_t num;
	char id[ID_MAX];
	char environment[ID_MAX];
	int64_t session;
	char session_id[ID_MAX];
	enum work_state state;
	int64_t epoch;                                                             // how often it was claimed: names the lease
	int64_t claimed_at, created_at, acknowledged_at, started_at, heartbeat_at; // UTC us, 0: null
	int64_t stop_requested_at, stopped_at, lease_until;
	int64_t ttl; // seconds
	char worker[257], journal[257];
	char *metadata; // JSON; owned
};

#define WORK_COLUMNS                                                                                                 \
	"w.num, w.id, w.environment, w.session, w.session_id, w.state, w.epoch, w.claimed_at, w.created_at,"         \
	" w.acknowledged_at, w.started_at, w.heartbeat_at, w.stop_requested_at, w.stopped_at, w.lease_until, w.ttl," \
	" w.worker, w.journal, w.metadata"

// For store_query over WORK_COLUMNS; `arg` is a struct work_row.
bool work_tx_take(void *arg, const struct store_row *row);
void work_row_fini(struct work_row *w);
#define AUTO_WORK __attribute__((cleanup(work_row_fini)))

// ERR_NOT_FOUND when that environment has no such item.
MUST_USE struct result work_tx_load(struct store_tx *tx, const char *environment, const char *id, struct work_row *out,
                                    struct err *e);
MUST_USE struct result work_tx_save(struct store_tx *tx, const struct work_row *w, struct err *e);

// The API's object; `secret` may be NULL.
json_t *work_row_json(const struct work_row *w, const char *secret);
const char *work_state_name(enum work_state s);
void work_epoch(char out[EPOCH_MAX], const char *id, int64_t epoch);

// Queues an item for the session unless it has a live one.
MUST_USE struct result work_tx_ensure(struct session_tx *s, struct err *e);
// The name of the session's live lease, "" when it has none.
MUST_USE struct result work_tx_live_epoch(struct store_tx *tx, int64_t session, char out[EPOCH_MAX], struct err *e);
// Tells pollers how many items the environment's queue holds now.
MUST_USE struct result work_tx_count(struct op *op, struct store_tx *tx, const char *environment, struct err *e);

// Asks the worker of the session's live item to end (archive, delete); one that nobody has claimed is stopped.
MUST_USE struct result work_tx_stop_session(struct op *op, struct store_tx *tx, int64_t session, int64_t now, struct err *e);

#endif

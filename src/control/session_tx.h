// A session inside a write transaction: its row, the events appended, the state that follows. On the store's thread.
//
// Load, change, save: session_tx_load, then appends and the verbs below, then session_tx_save, which also decides the status
// from what is open and waiting, and queues work where a worker is needed.
#ifndef SALLYPORT_CONTROL_SESSION_TX_H
#define SALLYPORT_CONTROL_SESSION_TX_H

#include "base/json.h"
#include "control/effects.h"
#include "control/event_log.h"
#include "control/op.h"
#include "store/store.h"

// What a session may do when the transaction ends, decided in session_tx_save.
enum session_tx_want {
	SESSION_TX_KEEP,    // nothing that concerns the status happened
	SESSION_TX_SETTLE,  // calls were opened or closed, or a turn ended with a wish to go on
	SESSION_TX_STOP,    // the turn ends with `stop_reason` unless calls are open or input waits
	SESSION_TX_GIVE_UP, // the turn ends with `stop_reason`, and what waits becomes history
};

struct session_tx {
	struct op *op;
	struct store_tx *tx;
	int64_t now;
	int64_t num;
	char id[ID_MAX];
	char environment[ID_MAX];
	char agent_id[ID_MAX];
	enum session_status status;
	int64_t next_seq;
	int64_t waiting; // events with processed_at null
	char open_span[ID_MAX];
	int64_t up_to_seq;
	int64_t usage[4];      // input, output, cache read, cache creation
	int64_t running_since; // 0: not running
	int64_t active_us;
	bool archived;
	bool at_least_once;

	enum session_tx_want want;
	bool calls_changed; // the set of open calls is another one than at the last idle
	bool usage_due;     // a model request ended: session.usage stands before the next idle
	const char *stop_reason;
	json_t *stop_details; // borrowed
	const char
	        *worker_epoch; // a worker's stream is open for this lease, or "*": one that uses the environment key; or NULL
};

// ERR_NOT_FOUND names the session.
MUST_USE struct result session_tx_load(struct session_tx *s, struct op *op, struct store_tx *tx, const char *id, struct err *e);

// Appends the event object `ev` (borrowed; id and processed_at are added, a member "kept" is taken out). `id` may be NULL: one
// is made, and copied to `id_out` unless that is NULL. `processed`: the agent has seen it, or needs not to.
MUST_USE struct result session_tx_append(struct session_tx *s, json_t *ev, const char *id, bool processed, char id_out[ID_MAX],
                                         struct err *e);
// {"type": type}, processed.
MUST_USE struct result session_tx_append_plain(struct session_tx *s, const char *type, char id_out[ID_MAX], struct err *e);

// Waiting input becomes processed, numbered anew in its order.
MUST_USE struct result session_tx_take_waiting(struct session_tx *s, struct err *e);

// Ends the open model request with span.model_request_end; `usage` (borrowed) may be NULL.
MUST_USE struct result session_tx_end_span(struct session_tx *s, bool is_error, json_t *usage, struct err *e);

// Settles the status and writes the row.
MUST_USE struct result session_tx_save(struct session_tx *s, struct err *e);

// Sets the status, with its event for RUNNING and RESCHEDULING and TERMINATED; IDLE has its own with the stop reason.
MUST_USE struct result session_tx_status(struct session_tx *s, enum session_status status, struct err *e);
MUST_USE struct result session_tx_idle(struct session_tx *s, json_t *stop_reason, json_t *stop_details,
                                       struct err *e); // takes reason

#endif

// A call's life on control's side (ARCHITECTURE.md): which tool calls of a session are open, to which lease each was exposed,
// and how each is closed. On the store's thread.
#ifndef SALLYPORT_CONTROL_CALLS_H
#define SALLYPORT_CONTROL_CALLS_H

#include "control/session_tx.h"

enum call_kind { CALL_WORKER, CALL_CUSTOM, CALL_SERVER };
enum call_ask { CALL_NOT_ASKED, CALL_ASKED, CALL_ALLOWED, CALL_DENIED };

#define CALLS_HOLD_GRACE_US (30 * INT64_C(1000000))

struct call {
	char id[ID_MAX];
	enum call_kind kind;
	enum call_ask ask;
	bool open;
	char epoch[EPOCH_MAX]; // exposed to that lease, or ""
	uint8_t answer_hash[AUTH_HASH_LEN];
	bool has_answer_hash;
	char answer_id[ID_MAX]; // the event that closed it, or ""
};

// Notes the call that an appended event opens, if it does, and whether it is exposed by this very commit (`shown`).
MUST_USE struct result calls_open(struct session_tx *s, const json_t *ev, const char *id, int64_t seq,
                                  struct effects_event *shown, struct err *e);
// ERR_INVALID names the id when the session has no such call.
MUST_USE struct result calls_find(struct session_tx *s, struct span id, struct call *out, struct err *e);
// Marks it closed by the event `answer_id`; `hash` of what was posted, NULL when nobody posted.
MUST_USE struct result calls_close(struct session_tx *s, const char *id, const char *answer_id, const uint8_t *hash,
                                   struct err *e);
MUST_USE struct result calls_set_ask(struct session_tx *s, const char *id, enum call_ask ask, struct err *e);

// A new array of the ids of open calls, in order.
MUST_USE struct result calls_open_ids(struct session_tx *s, json_t **out, struct err *e);
// Whether a worker has something to run: an open call of its kind that needs no confirmation (any more).
MUST_USE struct result calls_need_worker(struct session_tx *s, bool *out, struct err *e);

// Closes a call without its worker: appends user.tool_result (or user.custom_tool_result) with is_error and `text`.
MUST_USE struct result calls_close_without_worker(struct session_tx *s, const struct call *c, const char *text, struct err *e);
// Every open call, in order.
MUST_USE struct result calls_close_all(struct session_tx *s, const char *text, struct err *e);

// The lease has ended: what was exposed to it and is unanswered is held for the journal's worker until now + ttl + grace, or
// closed as unknown at once when the lease had no journal (nobody else can know its outcome); in an at-least-once environment
// it just becomes unexposed.
MUST_USE struct result calls_lease_ended(struct session_tx *s, const char *epoch, struct span journal, int64_t ttl_s,
                                         struct err *e);
// Closes as unknown what was held until now or before.
MUST_USE struct result calls_hold_expired(struct session_tx *s, struct err *e);

// Marks the open calls with from <= seq <= to exposed to the lease; notes each for the recorder. Held ones go over to it.
MUST_USE struct result calls_expose(struct op *op, struct store_tx *tx, int64_t session_num, const char *session, int64_t from,
                                    int64_t to, const char *epoch, struct err *e);

#endif

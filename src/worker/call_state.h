// What the two halves of a call's life share: until it has run (call.c), and from its outcome to control (call_outcome.c).
#ifndef SALLYPORT_WORKER_CALL_STATE_H
#define SALLYPORT_WORKER_CALL_STATE_H

#include "worker/call.h"
#include "worker/ledger.h"
#include "worker/trail.h"

struct post;

struct call {
	struct call_opts o;
	json_t *event;
	char *id, *input;
	struct span tool;
	int64_t attempt;
	uint64_t began_us;
	struct ledger_op *writing;       // intent or outcome, on its way to our journal
	struct audit_pending *recording; // the same, to the recorder
	struct loop_timer *again;
	struct post *post;
	struct err failure; // of the intent
	bool in_room, stopped, interrupted;
	bool intended; // the recorder holds its intent
	enum call_stop how;
	char *body; // the outcome as it is posted
	size_t body_len;
	struct trail_outcome outcome;
	char *reason, *text;
	int record_tries;
};

struct ledger_call call_ledger_key(const struct call *c);
struct trail_call call_trail_key(const struct call *c);
// The call is over: tells its owner and frees it.
void call_finish(struct call *c, enum call_end end);

// call_outcome.c. Each takes an outcome to our journal and the recorder, then posts it.
void call_settle(struct call *c, bool denied, bool is_error, struct span text, const char *reason);
void call_settle_unknown(struct call *c, const char *why);
void call_settle_refused(struct call *c, const char *fmt, ...) PRINTF_LIKE(2, 3); // nothing ran
// Posts c->body, whatever it took to have one.
void call_post(struct call *c);

#endif

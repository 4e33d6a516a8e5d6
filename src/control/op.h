// A change: one write job, what the recorder is told of it, what follows from it on the loop, and the answer to whoever asked.
//
// The job and the notes made before it are issued together; what follows (streams, pollers, the agent loop, the answer) happens
// when both are durable, in the order of commits. Without a recorder a change is refused before it begins.
#ifndef SALLYPORT_CONTROL_OP_H
#define SALLYPORT_CONTROL_OP_H

#include "base/buf.h"
#include "control/effects.h"
#include "control/record.h"
#include "control/request.h"

struct op {
	struct op *prev, *next;
	struct control *c;
	struct request *r; // NULL: nobody waits for an answer
	// On the store's thread; must touch nothing but the op and its arguments. FAIL rolls back.
	struct result (*run)(struct op *op, struct store_tx *tx, struct err *e);
	// On the loop, when the change is published: after its effects, before the answer. May be NULL.
	void (*published)(struct op *op);
	// On the loop, when it was refused or failed: nothing was stored. May be NULL.
	void (*refused)(struct op *op, const struct err *e);
	void (*release)(void *arg); // frees `arg`; may be NULL
	void *arg;
	bool unrecorded; // needs no recorder: nothing an agent or a person does

	// Filled by run.
	struct buf answer;          // JSON; the answer to `r`
	struct request_error error; // more about a failure
	struct effects fx;

	struct record_note *notes; // before op_submit: issued with the job; added by run: issued after it
	size_t unrecorded_notes;
	bool committed;
};

// `r` may be NULL. The op is freed when it is over.
struct op *op_new(struct control *c, struct request *r,
                  struct result (*run)(struct op *op, struct store_tx *tx, struct err *e));

// Adds a note about the request's actor (or "control"), for more fields to be set; op_submit or the job's end issues it.
struct record_note *op_note(struct op *op, enum audit_phase phase, const char *operation, const char *session,
                            const char *object);

// Refuses it before it was submitted; frees it.
void op_refuse(struct op *op, const struct err *e);

// Issues the write job.
void op_submit(struct op *op);
// A read job: no notes, no effects.
void op_read(struct op *op);

struct op_line;
struct op_line *op_line_new(void);
void op_line_free(struct op_line *line); // frees what never ended; the store must be closed
bool op_line_idle(const struct op_line *line);

#endif

// One tool call from its event to its result at control, at most once (ARCHITECTURE.md, "A call's life").
#ifndef SALLYPORT_WORKER_CALL_H
#define SALLYPORT_WORKER_CALL_H

#include "base/json.h"
#include "worker/worker_state.h"

struct room;
struct call;
struct exposure;
struct lease;

enum call_end {
	CALL_ANSWERED, // control has a result
	CALL_LEFT,     // it has not: the call stays as it is until its history is read again
};

struct call_opts {
	struct worker *worker;
	struct room *room;
	const struct lease *lease;
	struct exposure *exposure;
	enum delivery delivery;
	const char *item, *session, *agent, *token; // live as long as the call
	json_t *event;                              // agent.tool_use; a reference is kept
	void (*done)(void *arg, enum call_end end); // once, later
	void *arg;
};

// True for the six tools that run in the sandbox.
bool call_is_ours(struct span tool);

struct call *call_start(const struct call_opts *opts);
void call_drop(struct call **c); // no callback; what runs in the sandbox runs on

// The tool is ended; its result is kept, recorded and posted as usual.
void call_interrupt(struct call *c);
enum call_stop {
	CALL_STOP, // the item ends: the tool is ended, its result posted once
	CALL_LOST, // the lease is not ours: the same, and nothing is posted
	CALL_MOOT, // control has another result: the same
};
void call_stop(struct call *c, enum call_stop how);

const char *call_id(const struct call *c);

#endif

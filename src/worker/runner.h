// A session's events turned into calls, rule for rule as the official worker does it (managed-agents-api.md 2.13): which calls
// are ours, which wait for a confirmation, which were answered, and when the session has been quiet long enough.
#ifndef SALLYPORT_WORKER_RUNNER_H
#define SALLYPORT_WORKER_RUNNER_H

#include "worker/worker_state.h"

struct exposure;
struct lease;
struct runner;

enum runner_end {
	RUNNER_IDLE,       // the turn ended and nothing came for the idle time
	RUNNER_TERMINATED, // the session is over
	RUNNER_REFUSED,    // control refuses its stream for good
	RUNNER_STOPPED,    // by runner_stop
};

struct runner_opts {
	struct worker *worker;
	const struct lease *lease;
	struct exposure *exposure;
	enum delivery delivery;
	const char *item, *session, *agent, *token;    // live as long as the runner
	void (*ended)(void *arg, enum runner_end end); // once, from the loop
	void *arg;
};

struct runner *runner_start(const struct runner_opts *opts);
void runner_drop(struct runner **r); // no callback

enum runner_stop {
	RUNNER_DRAIN, // what runs may end by itself for a while, then as STOP
	RUNNER_STOP,  // what runs is ended and its result posted once
	RUNNER_LOST,  // what runs is ended; nothing is posted
};
// No further call is started; `ended` follows.
void runner_stop(struct runner *r, enum runner_stop how);

#endif

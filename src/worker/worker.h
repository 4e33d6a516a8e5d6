// The worker's poller: polls one environment's queue, gives each session a sandbox, runs its calls there and posts the results.
// It alone holds the environment key and talks to the network; the sandboxes are the spawner's, which outlives it.
#ifndef SALLYPORT_WORKER_WORKER_H
#define SALLYPORT_WORKER_WORKER_H

#include "base/config.h"
#include "base/err.h"

struct worker_opts {
	const struct config *config; // data_dir, sessions_max
	const char *environment, *base_url;
	const char *key;      // the environment key; the caller wipes it
	uint64_t max_idle_ms; // 0: never
	uint64_t lease_ttl_s; // asked of control; 0: what it likes
	int spawner_fd;       // taken
	// Once: a sandbox has run a program and the first poll was answered.
	void (*ready)(void *arg);
	void *arg;
};

// Runs until SIGTERM or SIGINT, then gives every session back (30 s at most) and returns OK. Fails when it can't start, and
// when control refuses the key or the environment for good.
MUST_USE struct result worker_run(const struct worker_opts *opts, struct err *e);

#endif

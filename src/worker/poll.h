// The queue of one environment, polled while there is room for another session (managed-agents-api.md 2.3). One poll at a time.
#ifndef SALLYPORT_WORKER_POLL_H
#define SALLYPORT_WORKER_POLL_H

#include "base/json.h"
#include "worker/worker_state.h"

struct poll;

struct poll_opts {
	struct worker *worker;
	size_t sessions_max;
	void (*answered)(void *arg);                    // the first poll was answered
	void (*failed)(void *arg, const struct err *e); // for good: the credential or the environment is wrong
	void (*drained)(void *arg);                     // after poll_drain, when no session is left
	void *arg;
};

struct poll *poll_start(const struct poll_opts *opts);
void poll_drop(struct poll **p);

// No further poll; each session is given back; then `drained`.
void poll_drain(struct poll *p);

json_t *poll_json(const struct poll *p); // its items; a new array

#endif

// The lease of one claimed work item: heartbeats by timer, each naming the one before (managed-agents-api.md 2.5), and our own
// idea of when it is over. Nothing that a tool does can delay it.
#ifndef SALLYPORT_WORKER_LEASE_H
#define SALLYPORT_WORKER_LEASE_H

#include "worker/plane.h"

struct lease;

enum lease_end {
	LEASE_STOPPING, // control asks us to stop, or does not extend it: stop the item
	LEASE_REFUSED,  // a beat was refused for good: stop the item
	LEASE_LOST,     // it is somebody else's, or may be: leave the item alone
};

struct lease_opts {
	struct plane *plane;
	const char *item, *token; // copied; token NULL: the environment key
	uint64_t ttl_s;           // asked of control; 0: what it likes
	void (*held)(void *arg);  // the first beat was taken
	// Each beat that was taken; when the lease would be over then (UTC, microseconds), if no other follows.
	void (*extended)(void *arg, int64_t until_utc_us);
	void (*ended)(void *arg, enum lease_end why); // once; no beat follows
	void *arg;
};

struct lease *lease_start(const struct lease_opts *opts); // the first beat goes out at once
void lease_drop(struct lease **l);                        // stops beating; no callback

// Whether a tool may be started and a result posted: last success + TTL less a margin is ahead, and it was not ended.
bool lease_live(const struct lease *l);
// How long that will be so, ms; 0 when it is not live.
uint64_t lease_left_ms(const struct lease *l);
// When control stamped the first beat that it took (UTC, microseconds, its clock); 0 when it can't be told.
int64_t lease_began_us(const struct lease *l);

#endif

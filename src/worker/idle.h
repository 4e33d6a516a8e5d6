// When a session has been quiet for long enough after its turn ended that its work item can be given back
// (managed-agents-api.md 2.13; the official worker's countdown, rule for rule).
#ifndef SALLYPORT_WORKER_IDLE_H
#define SALLYPORT_WORKER_IDLE_H

#include "base/json.h"
#include "net/loop.h"

struct idle {
	struct loop *loop;
	struct loop_timer *timer;
	uint64_t max_ms;   // 0: never
	size_t blockers;   // calls that are held, waiting or running
	bool pending;      // the countdown starts when the last of them is done
	bool may_be_stale; // from a history that could not be read until the next that could
	void (*expired)(void *arg);
	void *arg;
};

void idle_init(struct idle *i, struct loop *l, uint64_t max_ms, void (*expired)(void *arg), void *arg);
void idle_fini(struct idle *i);

// Whether the event says that the turn is over; and whether it leaves the countdown as it is.
bool idle_ends_turn(const json_t *event);
bool idle_is_neutral(const json_t *event);

void idle_note_event(struct idle *i, const json_t *event);
void idle_note_history(struct idle *i, bool complete);
void idle_arm(struct idle *i);
void idle_disarm(struct idle *i);
void idle_block(struct idle *i);
void idle_unblock(struct idle *i);
// As unblock, for a call that can't be resolved any more.
void idle_abandon(struct idle *i);

#endif

// What the loop's own files share.
#ifndef SALLYPORT_NET_LOOP_INTERNAL_H
#define SALLYPORT_NET_LOOP_INTERNAL_H

#include "net/loop.h"

struct loop {
	int epoll;
	bool running, stopping;
	uint64_t now_us;
	size_t live;          // handles not yet cancelled: loop_free wants none
	struct loop_fd *dead; // cancelled in this turn; events of the same batch may still name them

	struct loop_timer **heap; // a binary min-heap by deadline, then by age
	size_t n_timers, heap_cap;
	uint64_t next_seq;
};

// Milliseconds until the first deadline, rounded up, for epoll_wait: -1 without a timer.
int loop_timer_wait(const struct loop *l);

// Fires what is due and was started before `seq`. Stops early when the loop is being stopped.
void loop_timer_run(struct loop *l, uint64_t seq);

#endif

// What an earlier process of this worker left behind: work items whose lease may still live. Sallyport's control gives their
// sessions out again at once when they are stopped, and holds their open calls for our journal; so nothing waits for a lease
// that nobody renews. The hosted service is left to its own time.
#ifndef SALLYPORT_WORKER_SETTLE_H
#define SALLYPORT_WORKER_SETTLE_H

#include "worker/worker_state.h"

struct settle;

struct settle *settle_start(struct worker *w, void (*done)(void *arg), void *arg); // `done` once, unless dropped
void settle_drop(struct settle **s);

#endif

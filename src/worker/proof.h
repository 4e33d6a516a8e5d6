// Whether this worker can do what it is about to claim work for: an intent recorded, a sandbox made, a command run in it.
#ifndef SALLYPORT_WORKER_PROOF_H
#define SALLYPORT_WORKER_PROOF_H

#include "worker/worker_state.h"

struct proof;

// Tries until it holds; then `done` once, unless dropped.
struct proof *proof_start(struct worker *w, void (*done)(void *arg), void *arg);
void proof_drop(struct proof **t);

#endif

// Removes the workspaces of sessions that nobody came back to.
#ifndef SALLYPORT_WORKER_SWEEP_H
#define SALLYPORT_WORKER_SWEEP_H

#include "worker/worker_state.h"

struct sweep;

// Looks soon and then every hour below data_dir for workspaces whose last sandbox was made more than 30 days ago.
struct sweep *sweep_start(struct worker *w, const char *data_dir);
void sweep_drop(struct sweep **s);

#endif

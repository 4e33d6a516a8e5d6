// Says, once, that nobody serves the environment: a call then waits for ever, and nothing else tells why.
#ifndef SALLYPORT_CLI_RUN_QUEUE_H
#define SALLYPORT_CLI_RUN_QUEUE_H

#include "cli/api.h"
#include "cli/run_view.h"

struct run_queue {
	struct api *api;
	struct run_view *view;
	const char *environment; // borrowed; NULL: not known
	bool asked;
};

// Once a second; looks at the work queue when a call has been open for some time.
void run_queue_tick(struct run_queue *q);

#endif

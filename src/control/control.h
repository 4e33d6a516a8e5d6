// The role `control`: the Managed Agents API, the work queue and the agent loop of one data directory.
#ifndef SALLYPORT_CONTROL_CONTROL_H
#define SALLYPORT_CONTROL_CONTROL_H

#include "base/config.h"
#include "base/err.h"

// Runs until SIGTERM or SIGINT, then drains: waiting polls are answered, streams ended, changes under way finished. `listen`
// may be NULL (the configuration's). `ready` is called once, when requests are served, with the address as bound.
MUST_USE struct result control_run(const struct config *c, const char *listen,
                                   struct result (*ready)(void *arg, const char *address, struct err *e), void *arg,
                                   struct err *e);

#endif

// The program inside the sandbox: takes requests from its channel, runs one call after another, keeps and sends results.
#ifndef SALLYPORT_TOOLS_SERVER_H
#define SALLYPORT_TOOLS_SERVER_H

#include "base/err.h"

#define SERVER_CHANNEL 3

// Serves until the other end of the channel is closed for good. ERR_SYSTEM when it can't.
MUST_USE struct result server_run(const char *workdir, bool no_network, struct err *e);

#endif

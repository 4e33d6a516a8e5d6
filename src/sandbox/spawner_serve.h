// The spawner's own process.
#ifndef SALLYPORT_SANDBOX_SPAWNER_SERVE_H
#define SALLYPORT_SANDBOX_SPAWNER_SERVE_H

#include "sandbox/spawner.h"

// What the starter reads first from its socket: an error, or the report.
struct spawner_word {
	struct err err; // kind ERR_NONE: it is ready
	char report[8192];
};

// Never returns. `fd` is the socket to the starter, which is process `parent`.
__attribute__((noreturn)) void spawner_serve(const struct spawner_opts *opts, pid_t parent, int fd);

#endif

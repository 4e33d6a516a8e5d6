// Starts role processes, each when the one it needs is ready, restarts one that dies, and stops them in the reverse order. It
// knows nothing of what they do.
#ifndef SALLYPORT_CLI_SUPERVISOR_H
#define SALLYPORT_CLI_SUPERVISOR_H

#include <sys/types.h>

#include "base/err.h"
#include "base/json.h"
#include "net/loop.h"

#define SUPERVISOR_ROLES_MAX 8

struct supervisor;

struct supervisor_opts {
	// Called each time a role has said that it is ready, with the line it said it in (borrowed).
	void (*role_ready)(void *arg, const char *role, const json_t *line);
	// Once, when all of them are ready for the first time.
	void (*all_ready)(void *arg);
	// Once, when all have ended after supervisor_stop, or when one could not start (`e` says which and why).
	void (*ended)(void *arg, const struct err *e);
	void *arg;
};

struct supervisor *supervisor_new(struct loop *l, const struct supervisor_opts *opts);
void supervisor_free(struct supervisor *s); // every role must have ended

// Adds a role, before supervisor_start. `argv` (NULL-terminated, copied) is run as this executable with "--ready-fd N" added,
// for the first time when the role `after`, which was added before, is ready; NULL: at once.
void supervisor_add(struct supervisor *s, const char *role, const char *after, const char *const *argv);

// Adds one more argument for later starts of a role, replacing one with the same first word.
void supervisor_set_option(struct supervisor *s, const char *role, const char *option, const char *value);

void supervisor_start(struct supervisor *s);

// SIGTERM to the last added first, waiting for each; SIGKILL after 30 s. Called again: SIGKILL to all at once.
void supervisor_stop(struct supervisor *s);

// 0 when the role is not running.
pid_t supervisor_pid(const struct supervisor *s, const char *role);

#endif

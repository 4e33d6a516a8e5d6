// The process that makes sandboxes. It is started before any secret is read, and it alone holds the means to make one: the
// outer user namespace with the machine's subordinate ids, the prepared root, the sessions' directories.
//
// A role that wants sandboxes starts it first of all and then runs its own work in a child that it restarts (spawner_run), or
// keeps it beside itself for as long as one command takes (spawner_start). The spawner ends, and every sandbox with it, when
// its parent ends.
#ifndef SALLYPORT_SANDBOX_SPAWNER_H
#define SALLYPORT_SANDBOX_SPAWNER_H

#include <sys/types.h>

#include "base/config.h"
#include "base/err.h"

struct spawner_opts {
	// A session's files are kept in data_dir/worker/sessions/SESSION. NULL: in memory, half of limits.memory_bytes for all
	// of them together, and gone when the spawner is, however it ends.
	const char *data_dir;
	const char *root; // "host-usr", or a directory
	struct config_limits limits;
	bool no_cgroup; // leaves limits that need a cgroup alone (a single command, a measurement)
	// NULL, or the one directory that is every session's /workspace instead of the one in data_dir (`sandbox run
	// --workspace`).
	const char *workspace;
};

struct spawner {
	pid_t pid;
	int fd;       // of the one who started it; close-on-exec
	char *report; // JSON text: {"layers":[…],"lacks":[…],…}; what provider `where` shows
};

// Forks the spawner and waits until it is ready. The caller must be single-threaded, hold no secret in memory, and must not
// have set no_new_privs (newuidmap is setuid). Fails, saying what to do, where this machine can't hold the sandbox's rules.
MUST_USE struct result spawner_start(const struct spawner_opts *opts, struct spawner *out, struct err *e);

// A new connection for one client, to be given to provider_local_new, here or (inherited) in another process.
MUST_USE struct result spawner_connect(const struct spawner *s, int *client_fd, struct err *e);

// Ends the spawner and every sandbox; returns when they are gone.
void spawner_stop(struct spawner *s);

// Starts the spawner, then runs `start` in a child with a connection of its own, and again with a new one whenever that child
// is killed by a signal (at once, then after a growing pause of at most 5 s). `start` execs or works; it may not return. A
// child that exits by itself ends it all, and its exit status is *code. SIGTERM and SIGINT are passed on to the child; the
// sandboxes end after it has. When the spawner dies the child is ended too and this fails.
MUST_USE struct result spawner_run(const struct spawner_opts *opts, void (*start)(void *arg, int spawner_fd), void *arg,
                                   int *code, struct err *e);

#endif

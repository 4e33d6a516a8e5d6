// One sandbox: its processes, and the programs in it. Owned by the spawner.
#ifndef SALLYPORT_SANDBOX_SANDBOX_H
#define SALLYPORT_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "net/loop.h"
#include "sandbox/cgroup.h"

struct sandbox;

struct sandbox_opts {
	const char *session;
	int image; // the init
	struct span plan;
	bool ranged, setgroups;
	uint32_t init_id, tools_id; // as the spawner sees them; tools_id + 1 when ranged
	int lock, workspace, pts;   // borrowed
	const struct cgroup *cgroup;
};

struct sandbox_events {
	// It takes programs now (`e` NULL), or its set-up failed; then `ended` follows.
	void (*ready)(void *arg, const struct err *e);
	// A program has started (id), ended, or could not start (e).
	void (*exited)(void *arg, uint64_t client, uint32_t id, int code, int status, const struct err *e);
	// No process of it is left. Free it.
	void (*ended)(void *arg);
};

MUST_USE struct result sandbox_start(struct loop *l, const struct sandbox_opts *opts, const struct sandbox_events *events,
                                     void *arg, struct sandbox **out, struct err *e);
void sandbox_free(struct sandbox *s); // after `ended`

pid_t sandbox_pid(const struct sandbox *s);
void sandbox_kill(struct sandbox *s);

// A program. `client` and `id` name it in `exited` and sandbox_signal. `strings`: cwd, argv, env, each with its NUL.
struct sandbox_exec {
	uint64_t client;
	uint32_t id;
	uint32_t flags; // EXEC_* of init/abi.h
	uint32_t argc, envc;
	struct span strings;
	const int *fds;
	size_t n_fds;
};
MUST_USE struct result sandbox_exec(struct sandbox *s, const struct sandbox_exec *x, struct err *e);
void sandbox_signal(struct sandbox *s, uint64_t client, uint32_t id, uint32_t signo);
void sandbox_forget(struct sandbox *s, uint64_t client); // its programs go on; nobody is told of their end

// Channels by name: our end of a program's descriptor 3.
void sandbox_channel_put(struct sandbox *s, const char *name, int fd); // owned; replaces one of the same name
int sandbox_channel_peek(const struct sandbox *s, const char *name);   // borrowed; -1 when there is none

#endif

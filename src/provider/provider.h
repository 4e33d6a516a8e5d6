// Where a session's sandbox can run. Local is the first place: the machine's own spawner.
//
// A place gives a session one sandbox: created once, found again by the same session id (and so the same /workspace), driven by
// programs started in it, and ended. All calls are asynchronous on the loop; each callback is called once unless cancelled with
// the place.
#ifndef SALLYPORT_PROVIDER_PROVIDER_H
#define SALLYPORT_PROVIDER_PROVIDER_H

#include <sys/types.h>

#include "base/err.h"
#include "base/json.h"
#include "net/loop.h"

struct provider;
struct provider_sandbox;

struct provider_exec_opts {
	const char *const *argv; // argv[0] is a path inside; NULL-terminated
	int program_fd;          // -1, or the program itself: a sealed memfd, run by execveat (argv[0] is then only its name)
	const char *const *env;  // NULL-terminated; nothing else is in the environment
	const char *cwd;         // inside; NULL: /workspace
	int stdin_fd, stdout_fd, stderr_fd; // borrowed; -1: /dev/null
	// NULL, or a name: the place makes a SOCK_SEQPACKET pair, gives the program one end as descriptor 3 and keeps the other
	// under that name for as long as the sandbox lives, so that it outlives the process that asked (see attach).
	const char *channel;
};

struct provider_ops {
	// The sandbox of `session`, made or found. `found` tells whether it was there already.
	void (*create)(struct provider *p, const char *session,
	               void (*done)(void *arg, struct provider_sandbox *sb, bool found, const struct err *e), void *arg);
	// A program inside it. `exited` is called once when it has ended (code as in loop_child_start) or could not start
	// (`e`).
	void (*exec)(struct provider *p, struct provider_sandbox *sb, const struct provider_exec_opts *opts,
	             void (*exited)(void *arg, int code, int status, const struct err *e), void *arg);
	// Our end of a channel made by exec, as a new descriptor that the callback owns; as often as asked, also after a
	// restart. ERR_NOT_FOUND when the sandbox has none of that name.
	void (*attach)(struct provider *p, struct provider_sandbox *sb, const char *channel,
	               void (*done)(void *arg, int fd, const struct err *e), void *arg);
	// Ends every process in it; `done` when they are gone. /workspace stays unless `remove`.
	void (*kill)(struct provider *p, struct provider_sandbox *sb, bool remove, void (*done)(void *arg, const struct err *e),
	             void *arg);
	// Removes what the place keeps of a session, /workspace above all; a sandbox that it has is ended first.
	void (*remove)(struct provider *p, const char *session, void (*done)(void *arg, const struct err *e), void *arg);
	// Where it runs, as evidence: {"place":"local","host":…,"layers":[…]}; a new reference.
	json_t *(*where)(struct provider *p, struct provider_sandbox *sb);
	void (*free)(struct provider *p);
};

struct provider {
	const struct provider_ops *ops;
};

#endif

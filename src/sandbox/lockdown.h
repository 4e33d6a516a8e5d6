// What a role gives up once it has everything it needs: it can't listen, execute, trace, make namespaces or write outside
// its directories any more, whatever code comes to run in it.
#ifndef SALLYPORT_SANDBOX_LOCKDOWN_H
#define SALLYPORT_SANDBOX_LOCKDOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct lockdown_opts {
	const char *const *writable; // directories below which it may write; NULL-terminated
	const char *const *readable; // further files and directories that it may read; /usr, /etc, /proc and /dev always are
	bool network;                // connects out over TCP and UDP (names are resolved); false: unix sockets only
};

// Process hardening that costs nothing and can come first: not dumpable, no core, no new privileges, no supplementary
// groups. Fails when groups are left that can't be dropped.
MUST_USE struct result lockdown_harden(struct err *e);

// lockdown_harden, then Landlock (files) and seccomp, for good. bind to an address, listen, execve, fork, ptrace, namespaces,
// mounts, io_uring, bpf and keys are refused (EPERM) afterwards; wrong-architecture calls kill. Sockets bound before go on
// accepting; threads can still be made. Call it before the first thread is (ERR_CONFLICT otherwise: Landlock would not hold
// for that one). Checks that it holds (a bind and a write outside really fail) and fails if not. *landlock (may be NULL) is
// the ABI in force, 0 where the kernel has none. A build with a leak checker may fork, be traced and be dumped.
MUST_USE struct result lockdown_apply(const struct lockdown_opts *opts, int *landlock, struct err *e);

#endif

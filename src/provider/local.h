// This machine as a place: a client of the spawner's socket.
#ifndef SALLYPORT_PROVIDER_LOCAL_H
#define SALLYPORT_PROVIDER_LOCAL_H

#include "provider/provider.h"

// `spawner_fd` is a connection from spawner_connect (or the one a spawner_run child was given); it is owned from now on.
// When the spawner goes away every pending call gets ERR_UNREACHABLE, and so does every later one; `lost` (may be NULL) is
// called once then.
struct provider *provider_local_new(struct loop *l, int spawner_fd, void (*lost)(void *arg), void *arg);

// Sends `signo` to a program started by exec and to its process group; `channel` is not needed for it. `exec` is the
// number provider_local_last_exec gave right after the exec call. Fire and forget: a program that has ended is fine.
uint32_t provider_local_last_exec(const struct provider *p);
void provider_local_signal(struct provider *p, struct provider_sandbox *sb, uint32_t exec, int signo);

// Whether no process of the session's sandbox is alive any more, whichever spawner made it: nobody holds the lock that only
// the spawner and the sandbox's init hold, and the init itself (whose end is the end of all its processes) is gone. A
// session that never was is dead. Only a proof counts: when it can't be told, *dead is false.
MUST_USE struct result provider_local_session_is_dead(const char *data_dir, const char *session, bool *dead, struct err *e);

#endif

// What a session keeps on disk, below data_dir/worker/sessions/SESSION (mode 0700, the spawner's):
//
//	workspace  the sandbox's /workspace, owned by the tools' uid; its owner is how a later sandbox of the session finds it
//	lock       flock'd as long as the spawner or the sandbox's init lives; holds which process that init was
#ifndef SALLYPORT_SANDBOX_SESSION_H
#define SALLYPORT_SANDBOX_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define SESSION_NAME_MAX 64

// Letters, digits, '-' and '_', 1 to 64 of them.
bool session_name_ok(const char *session);

struct session {
	int lock;
	uint32_t tools_id; // the owner of workspace, as the spawner sees it; 0 when it was just made and has none yet
};

// Opens (or makes) the session's files and takes its lock. ERR_CONFLICT while an older sandbox of it is alive.
MUST_USE struct result session_open(int sessions_dir, const char *session, struct session *out, struct err *e);
// Gives a new workspace to its owner.
MUST_USE struct result session_own(int sessions_dir, const char *session, uint32_t tools_id, struct err *e);
// Whether a session's workspace is owned by `tools_id`.
bool session_owner_exists(int sessions_dir, uint32_t tools_id);
// Notes the init in the lock file.
MUST_USE struct result session_note(int lock, pid_t init, struct err *e);
// Removes all of it. Workspaces may be deep and hostile: it may take long.
MUST_USE struct result session_remove(int sessions_dir, const char *session, struct err *e);

// Whether every process of the session's last sandbox has ended. The init's end is theirs: the kernel ends all processes of
// a pid namespace before it lets go of PID 1. The lock alone would not do, descriptors are closed a moment before that.
MUST_USE struct result session_is_dead(int sessions_dir, const char *session, bool *dead, struct err *e);

#endif

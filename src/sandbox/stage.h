// The spawner's own mount namespace: everything of the host that a sandbox may see, prepared once, and nothing else of it.
// Every sandbox starts with a copy of it and moves on into a root of its own (plan.h).
//
//	/usr  /etc  /dev  /proc   what the sandbox's own root is bound from; read-only but for /proc
//	/root                     instead of /usr and /etc, where the root is a directory
//	/sessions                 data_dir/worker/sessions, or memory; only the spawner's uid can enter it
//	/given                    the one directory of `sandbox run --workspace`, else empty
//	/new                      where a sandbox puts its root together
#ifndef SALLYPORT_SANDBOX_STAGE_H
#define SALLYPORT_SANDBOX_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define STAGE_ENTRIES_MAX 64
#define STAGE_NAME_MAX 64

struct stage_entry { // at the top of the root
	char name[STAGE_NAME_MAX];
	char link[STAGE_NAME_MAX * 2]; // where it points, for a symbolic link; else empty
	bool file;
	bool program; // programs may be run from below it
};

struct stage {
	bool directory;   // the root is a directory, else the host's /usr
	bool overlay;     // it is read through an overlay, so that sockets in it can't be connected to
	const char *from; // "" or "/root": what stands before an entry's name on the stage
	struct stage_entry entries[STAGE_ENTRIES_MAX];
	unsigned n_entries;
};

struct stage_opts {
	const char *root;     // "host-usr", or a directory
	const char *sessions; // a directory; NULL: `memory` bytes that are gone with this process
	uint64_t memory;
	const char *given; // a workspace's path, or NULL
	int given_fd;      // its mount, or -1
};

// In the new mount namespace (idspace_enter): builds the stage and makes it the root; afterwards no host path exists for this
// process.
MUST_USE struct result stage_build(const struct stage_opts *opts, struct stage *out, struct err *e);

// A detached, private copy of the mount at `path` on the stage, with nosuid and nodev.
MUST_USE struct result stage_clone(const char *path, int *mount_fd, struct err *e);

// A new instance of devpts, detached.
MUST_USE struct result stage_pts(int *mount_fd, struct err *e);

#endif

// A directory of a person's as /workspace (`sandbox run --workspace`): inside it belongs to the tools, outside to whom it
// belonged before.
#ifndef SALLYPORT_SANDBOX_WORKSPACE_H
#define SALLYPORT_SANDBOX_WORKSPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "sandbox/idspace.h"

struct workspace {
	int mount_fd;      // detached; -1: none is given
	uint32_t tools_id; // its owner, as the spawner sees it; 0 without a range
	bool adopt;        // empty and our own: given to tools_id for good
};

// Before idspace_enter, with what idspace_find found. Where ids are mapped by the mount (root only), files keep their owner on
// disk; else the directory must be empty, or the tools' already. One that belongs to root is refused.
MUST_USE struct result workspace_open(const char *path, const struct idspace *ids, struct workspace *out, struct err *e);

#endif

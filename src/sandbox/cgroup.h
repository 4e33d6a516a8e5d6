// Limits on all of a sandbox's processes together, where this process may make cgroups: version 2 (delegated), or the
// hierarchies of version 1, or none.
#ifndef SALLYPORT_SANDBOX_CGROUP_H
#define SALLYPORT_SANDBOX_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/err.h"

#define CGROUP_KINDS 3 // memory, pids, cpu

struct cgroup {
	int version;            // 0, 1 or 2
	int dirs[CGROUP_KINDS]; // where a sandbox's group is made; the same three times for version 2; -1: not limited
	struct config_limits limits;
};

// Before the process leaves the host's mount namespace. Never fails: what can't be had is -1. Removes the empty groups of
// spawners that do not live any more.
void cgroup_find(const struct config_limits *limits, struct cgroup *out);

// A name for one sandbox's group, never given twice by this process.
void cgroup_name(char *out, size_t cap);

// A group named `name` with the limits set, and `pid` in it. What is available must work.
MUST_USE struct result cgroup_enter(const struct cgroup *c, const char *name, pid_t pid, struct err *e);
void cgroup_remove(const struct cgroup *c, const char *name); // when its processes are gone

bool cgroup_has(const struct cgroup *c, const char *controller); // "memory", "pids", "cpu"

#endif

// What this machine gives to sandboxes, found by looking: for doctor. What really holds is shown by making one.
#ifndef SALLYPORT_SANDBOX_HOST_H
#define SALLYPORT_SANDBOX_HOST_H

#include <stdbool.h>

#include "base/err.h"

struct host_facts {
	char kernel[64];         // release
	bool container;          // in Docker, podman or the like
	bool namespaces;         // this process can make a user namespace
	char no_namespaces[256]; // else why not, and what to do
	bool proc_masked;        // parts of /proc are covered, so that no sandbox can have one of its own
	int landlock;            // ABI, 0: none
	bool seccomp;
	bool memfd_exec;
	bool overlay; // a directory can be the root
	bool swap;    // memory of sandboxes can reach a disk
};

void host_look(struct host_facts *out);

#endif

// The user namespace in which the spawner works, and the kernel ids it has to give.
//
// Inside it the spawner's own uid is 0 (over nothing but this namespace) and 1 to `count` are subordinate ids.
#ifndef SALLYPORT_SANDBOX_IDSPACE_H
#define SALLYPORT_SANDBOX_IDSPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct idspace {
	uint32_t count;   // subordinate ids; 0: none, every sandbox shares the spawner's uid
	uint32_t base;    // kernel id of number 1 (for the report)
	bool setgroups;   // groups can be dropped
	char source[160]; // where the range comes from, or why there is none
};

// Puts this process (single-threaded) into a new user namespace and a mount namespace that it owns. Groups are dropped, or it
// fails: they would survive into every sandbox.
MUST_USE struct result idspace_enter(struct idspace *out, struct err *e);

// The range that would be used, without entering: for doctor.
void idspace_find(struct idspace *out);

#endif

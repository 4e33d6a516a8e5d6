// The moment between the spawner and the init: the new process in its namespaces, until it executes the init.
#ifndef SALLYPORT_SANDBOX_BIRTH_H
#define SALLYPORT_SANDBOX_BIRTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct birth {
	int control, nursery, lock, workspace, pts; // become INIT_FD_* of init/abi.h; borrowed
	int spawner_end;                            // of `control`: the child closes its copy, so that it ends with the spawner
	int image;                                  // the program
	bool setgroups;
	uint32_t uid; // inside: the init's
	char *stack;  // the child's until it has executed the init
};

// Makes the process. It shares this memory and waits for a byte on its end of `control` before it does anything, so that the
// caller can write its id maps; `b` must stay until then. The stack must be released with birth_release when the process has
// executed the init or ended.
MUST_USE struct result birth_start(struct birth *b, pid_t *pid, struct err *e);
void birth_release(struct birth *b);

// Writes the child's maps: uid and gid 0 inside are `init_id`, 1000 are `tools_id`; not ranged: 1000 is our own 0.
MUST_USE struct result birth_map(pid_t pid, bool ranged, uint32_t init_id, uint32_t tools_id, struct err *e);

#endif

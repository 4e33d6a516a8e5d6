// The parts of the freestanding init.
#ifndef SALLYPORT_SANDBOX_INIT_INIT_H
#define SALLYPORT_SANDBOX_INIT_INIT_H

#include "abi.h"
#include "sys.h"

#define PROGRAMS_MAX 256

// Programs that the nursery started, in memory it shares with the init alone: what the nursery did not live to tell, the
// init tells.
struct program {
	uint32_t id; // 0: free
	int32_t pid; // 0: not started yet
	int32_t err; // errno of a failed start
	uint32_t ended, told_started;
	int32_t code, status;
};

struct programs {
	uint32_t done; // requests up to this number have been started or refused; numbers grow
	struct program of[PROGRAMS_MAX];
};

// The plan, checked: every offset points to a terminated string.
const struct plan_step *plan_steps(const struct plan *p);
const struct plan_rule *plan_rules(const struct plan *p);
const struct plan_limit *plan_limits(const struct plan *p);
const char *plan_string(const struct plan *p, uint16_t offset); // NULL for 0
int plan_check(const struct plan *p, size_t size);

long step_run(const struct plan *p, const struct plan_step *s); // 0 or negative errno

// Gives up everything the tools must not have, for good. 0, or negative errno with *stage set.
long fence_enter(const struct plan *p, uint32_t *stage);
long fence_init_caps(void); // what PID 1 itself keeps: what a new nursery needs, and to continue what was stopped

__attribute__((noreturn)) void nursery_main(const struct plan *p, struct programs *programs);

// Starts the program of one request in its slot; returns when it runs or has failed (slot->err).
void exec_start(const struct init_exec *x, const char *strings, const int *fds, struct program *slot);

void event_send(uint32_t kind, uint32_t id, int32_t code, int32_t status);
void event_program(struct program *p); // tells what has not been told, and frees the slot once the end has been

void program_continue(const struct programs *ps, int32_t pid); // if it is one of them

__attribute__((noreturn, used)) void init_main(void);

void *mem_copy(void *to, const void *from, size_t n);
size_t str_len(const char *s);

#endif

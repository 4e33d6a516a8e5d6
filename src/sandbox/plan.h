// The plan that every sandbox's init carries out: made once, the same for all.
#ifndef SALLYPORT_SANDBOX_PLAN_H
#define SALLYPORT_SANDBOX_PLAN_H

#include "base/buf.h"
#include "base/config.h"
#include "sandbox/kernel.h"
#include "sandbox/stage.h"

struct plan_opts {
	const struct stage *stage;
	const struct kernel_landlock *landlock;
	bool ranged; // init and tools have ids of their own (0 and 1000 inside); else both are 1000
	bool setgroups;
	uint64_t memory; // for /tmp and the like, together
	struct config_limits limits;
};

#define PLAN_TOOLS_ID 1000u // inside

// Into `out`: one message of init/abi.h.
MUST_USE struct result plan_make(const struct plan_opts *opts, struct buf *out, struct err *e);

// How a step or stage of the plan in `plan` is called, for error messages.
void plan_describe(struct span plan, uint32_t where, char *out, size_t cap);

#endif

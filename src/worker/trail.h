// What the worker tells the recorder (ARCHITECTURE.md, rule 3): a call's intent before it runs and its outcome after, and the
// same of each sandbox.
#ifndef SALLYPORT_WORKER_TRAIL_H
#define SALLYPORT_WORKER_TRAIL_H

#include "audit/audit.h"

struct trail_call {
	const char *session, *agent, *id; // agent may be ""
	struct span tool, input;
	int64_t attempt; // 1 for the first
};

typedef void trail_recorded(void *arg, const struct err *e);

struct audit_pending *trail_call_intent(struct audit_client *client, const struct trail_call *c, trail_recorded *done,
                                        void *arg);

struct trail_outcome {
	bool denied;        // it did not run
	bool failed;        // it did, and ended as an error; or its outcome is unknown
	bool unpaired;      // no intent stands in the log
	struct span reason; // for people, no payload; empty for a plain result
	struct span result;
	uint64_t duration_us;
};
struct audit_pending *trail_call_outcome(struct audit_client *client, const struct trail_call *c, const struct trail_outcome *o,
                                         trail_recorded *done, void *arg);

// `name` is unique for this making of a sandbox; `reason` tells what its outcome was, NULL: that it was made.
struct audit_pending *trail_sandbox(struct audit_client *c, enum audit_phase phase, const char *session, const char *name,
                                    const char *reason, struct span where, trail_recorded *done, void *arg);

// A session's workspace is about to be removed; `name` is unique for it.
struct audit_pending *trail_removal(struct audit_client *c, const char *session, const char *name, const char *reason,
                                    trail_recorded *done, void *arg);

#endif

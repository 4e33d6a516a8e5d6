// Posting one result, as often as it takes while the lease lives (managed-agents-api.md 2.12).
#ifndef SALLYPORT_WORKER_POST_H
#define SALLYPORT_WORKER_POST_H

#include "worker/lease.h"

struct post;

enum post_end {
	POST_STORED,  // control has it
	POST_REFUSED, // for good: it has another one, or does not know the call
	POST_GIVEN_UP // the lease is over, or `once` was set
};

struct post_opts {
	struct plane *plane;
	const struct lease *lease;
	const char *session, *token, *call; // copied
	struct span body;                   // the request, as it always was for this call; copied
	bool once;                          // one try of at most two seconds, whatever the lease says
	void (*done)(void *arg, enum post_end end);
	void *arg;
};

struct post *post_start(const struct post_opts *opts);
void post_drop(struct post **p);
// No further try after the one under way.
void post_hurry(struct post *p);

// The request that answers `call` with one text: an agent.tool_use by user.tool_result. A new string.
char *post_body(const char *call, bool is_error, struct span text, size_t *len);

#endif

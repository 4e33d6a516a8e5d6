// A file tool at work: in a child of its own, so that whatever it waits for can be ended at once.
#ifndef SALLYPORT_TOOLS_JOB_H
#define SALLYPORT_TOOLS_JOB_H

#include "net/loop.h"
#include "tools/answer.h"

struct job;

struct job_opts {
	const char *name; // the tool's, for messages
	answer_tool *tool;
	const char *workdir;
	int input; // a memfd with the call's input, borrowed until job_start returns
	uint64_t limit_ms;
	// Called once, from the loop. `text` is a memfd that the callback owns (not yet sealed), or -1 and `a` holds the
	// answer.
	void (*done)(void *arg, int text, struct answer *a);
	void *arg;
};

MUST_USE struct result job_start(struct loop *l, const struct job_opts *o, struct job **out, struct err *e);

// Kills it, with no callback.
void job_cancel(struct job *j);

#endif

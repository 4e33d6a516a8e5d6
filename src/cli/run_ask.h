// The calls of a session that wait for a yes or no, and the person at the terminal who is asked, while the loop goes on.
#ifndef SALLYPORT_CLI_RUN_ASK_H
#define SALLYPORT_CLI_RUN_ASK_H

#include "base/json.h"
#include "net/loop.h"

struct run_ask;

struct run_ask_opts {
	struct loop *loop;
	void (*asking)(void *arg, bool now);            // the terminal is needed for a question, or no longer
	void (*answered)(void *arg, json_t *decisions); // user.tool_confirmation events for all that waited; takes them
	void *arg;
};

struct run_ask *run_ask_new(const struct run_ask_opts *opts);
void run_ask_free(struct run_ask *a);

// True when standard input and error are a terminal: then run_ask_start may be called.
bool run_ask_possible(void);

void run_ask_add(struct run_ask *a, const json_t *call);
// Somebody else answered for this call, or it was closed. NULL and unknown ids are fine.
void run_ask_settle(struct run_ask *a, const char *id);
const char *run_ask_first(const struct run_ask *a); // id of a call that waits; NULL when none does

// Asks about one after another. What was typed before a question, and anything but a line that begins with y, is a no.
void run_ask_start(struct run_ask *a);
void run_ask_stop(struct run_ask *a); // forgets questions and answers
#endif

// One task of `run`: a session, the message, and its events until the turn ends.
#ifndef SALLYPORT_CLI_RUN_SESSION_H
#define SALLYPORT_CLI_RUN_SESSION_H

#include "cli/api.h"
#include "cli/run_open.h"
#include "cli/run_view.h"

struct run_session_opts {
	struct run_open_opts open;
	const char *task;         // NULL: only what the session is at, and waits for
	const char *file_name;    // NULL: no document
	struct span file_content; // UTF-8
	bool interactive;         // a person can be asked for confirmations on the terminal
};

struct run_session;

// Starts. `ended` is called once: `e` NULL when the turn ended as end_turn; else how it ended.
struct run_session *run_session_start(struct api *api, struct run_view *view, const struct run_session_opts *opts,
                                      void (*ended)(void *arg, const struct err *e), void *arg);
void run_session_free(struct run_session *r);

// The session's id, NULL before it is known.
const char *run_session_id(const struct run_session *r);

// Ctrl-C: asks the session to stop its turn. False when there is nothing to interrupt (yet, or it was asked before).
bool run_session_interrupt(struct run_session *r);

#endif

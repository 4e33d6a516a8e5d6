// The session that a task goes to: an existing one, or a new one with an agent that is found by its name, or made.
#ifndef SALLYPORT_CLI_RUN_OPEN_H
#define SALLYPORT_CLI_RUN_OPEN_H

#include "cli/api.h"

#define RUN_OPEN_AGENT "run" // the agent when none is named

struct run_open_opts {
	const char *session;       // an existing one; the rest is then not used. NULL: a new one
	const char *agent;         // its name; NULL: one that is ours, RUN_OPEN_AGENT
	const char *model;         // what the agent must have, NULL: a named one any, ours `default_model`
	const char *system;        // likewise, ours none
	const char *default_model; // of an agent that is made when `model` is NULL
	const char *environment;   // id
};

struct run_open;

// `opened` is called once, with the session (borrowed) or an error, unless run_open_free comes first.
struct run_open *run_open_start(struct api *api, const struct run_open_opts *opts,
                                void (*opened)(void *arg, const json_t *session, const struct err *e), void *arg);
void run_open_free(struct run_open *o); // after api_fini, or after `opened`

#endif

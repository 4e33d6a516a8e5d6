// What `run` shows of a session: one line a call, the agent's words, and a line at the end.
#ifndef SALLYPORT_CLI_RUN_VIEW_H
#define SALLYPORT_CLI_RUN_VIEW_H

#include <stdio.h>

#include "base/json.h"

struct run_view;

enum run_view_style { RUN_VIEW_TEXT, RUN_VIEW_COLOR, RUN_VIEW_JSON, RUN_VIEW_QUIET };

struct run_view *run_view_new(FILE *out, enum run_view_style style);
void run_view_free(struct run_view *v);

// The session object as the API gave it, and the environment's name.
void run_view_session(struct run_view *v, const json_t *session, const char *environment);

// One event, in the order of the stream. Events already shown (by id and processed_at) are passed over.
void run_view_event(struct run_view *v, const json_t *event);

// The closing line.
void run_view_end(struct run_view *v);

#endif

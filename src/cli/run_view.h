// What `run` shows of a session: one line a call, the agent's words, and a line at the end.
#ifndef SALLYPORT_CLI_RUN_VIEW_H
#define SALLYPORT_CLI_RUN_VIEW_H

#include <stdio.h>

#include "base/json.h"

struct run_view;

enum run_view_style { RUN_VIEW_TEXT, RUN_VIEW_COLOR, RUN_VIEW_JSON, RUN_VIEW_QUIET };

// `live`: `out` is a terminal whose last line may tell, second by second, what is being waited for.
struct run_view *run_view_new(FILE *out, enum run_view_style style, bool live);
void run_view_free(struct run_view *v);

// The session object as the API gave it.
void run_view_session(struct run_view *v, const json_t *session);

// One event, in the order of the stream, each once.
void run_view_event(struct run_view *v, const json_t *event);

// One line on standard error that is no event.
void run_view_note(struct run_view *v, const char *text);

// How long a call that a worker has to answer has been open, and nothing has come; 0 when there is none.
uint64_t run_view_worker_ms(const struct run_view *v);

// Once a second.
void run_view_tick(struct run_view *v);
// Somebody else writes to the terminal now, or has done so.
void run_view_pause(struct run_view *v, bool now);
// The control plane at `url` does not answer; NULL: it does again.
void run_view_lost(struct run_view *v, const char *url);

// The closing line. `audit` is where the log has this, NULL: not known.
void run_view_end(struct run_view *v, const char *audit);

#endif

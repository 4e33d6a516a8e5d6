// What the two halves of a session's runner share: running and ending (runner.c), and what the session's events say
// (runner_events.c).
#ifndef SALLYPORT_WORKER_RUNNER_STATE_H
#define SALLYPORT_WORKER_RUNNER_STATE_H

#include <string.h>

#include "base/json.h"
#include "worker/idle.h"
#include "worker/runner.h"

#define RUNNER_QUEUE_MAX 1024    // calls that wait; further ones are left for the next reading of the history
#define RUNNER_KNOWN_MAX 1000000 // ids that are remembered of one session

struct runner {
	struct runner_opts o;
	struct feed *feed;
	struct idle idle;
	struct room *room;
	struct call *running;
	json_t *running_event;
	json_t *queue;    // calls to run, in order
	json_t *held;     // calls that wait for a confirmation
	json_t *history;  // calls of the history that is being read
	json_t *seen;     // sets, by event id
	json_t *answered; //
	json_t *verdicts; // call id -> the confirmation's result
	json_t *ended_threads;
	struct loop_timer *soon, *drain;
	bool history_ended_turn;
	bool stopping, deleted;
	enum runner_end end;
};

// A member of an event as text, "" when it is not a string.
static inline const char *runner_text(const json_t *ev, const char *name)
{
	const char *s = json_string_value(json_object_get(ev, name));
	return s == NULL ? "" : s;
}

static inline bool runner_type_is(const json_t *ev, const char *type)
{
	return strcmp(runner_text(ev, "type"), type) == 0;
}

static inline bool runner_has(const json_t *set, const char *id)
{
	return json_object_get(set, id) != NULL;
}

void runner_add(json_t *set, const char *id);
// The place in a list of events of the one with that id; SIZE_MAX when it is not there.
size_t runner_find(const json_t *list, const char *id);
bool runner_under_way(const struct runner *r, const char *id);
bool runner_of_ended_thread(const struct runner *r, const json_t *ev);

// A call that may run: queued, and run when its turn comes. `confirmed`: somebody allowed it.
void runner_enqueue(struct runner *r, json_t *ev, bool confirmed);
void runner_end_with(struct runner *r, enum runner_end end, enum runner_stop how);

// runner_events.c: the callbacks of the feed.
void runner_events_begin(void *arg);
void runner_events_history(void *arg, json_t *ev);
void runner_events_end(void *arg, bool complete);
void runner_events_live(void *arg, json_t *ev);

#endif

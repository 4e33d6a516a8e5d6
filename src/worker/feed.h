// A session's events as a worker follows them: the stream is opened first, then the history is listed, then what the stream
// brought meanwhile and from now on; again after every interruption (managed-agents-api.md 2.10 and 2.11).
#ifndef SALLYPORT_WORKER_FEED_H
#define SALLYPORT_WORKER_FEED_H

#include "worker/plane.h"

struct feed;

struct feed_opts {
	struct plane *plane;
	const char *session, *token; // copied; token NULL: the environment key
	// Each round: `begin`, every event of the history in its order, then `end` (complete: it was read wholly).
	void (*history_begin)(void *arg);
	void (*history)(void *arg, json_t *event);
	void (*history_end)(void *arg, bool complete);
	void (*live)(void *arg, json_t *event);          // may come more than once, and also stand in a later history
	void (*refused)(void *arg, const struct err *e); // control refuses the stream for good; no callback follows
	void *arg;
};

// Events are objects with a string "type" (borrowed). No callback may drop the feed.
struct feed *feed_start(const struct feed_opts *opts);
void feed_drop(struct feed **f);

#endif

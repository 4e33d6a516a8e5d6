// A session's sandbox and the tools program in it, as the worker uses them: made when the first call comes, found again by the
// session's next work item, ended when it was not needed for a while.
//
// One call at a time. Whatever happens to the sandbox, the call ends with one of the outcomes below; ROOM_LOST is only said
// when no process of the sandbox is alive any more.
#ifndef SALLYPORT_WORKER_ROOM_H
#define SALLYPORT_WORKER_ROOM_H

#include "audit/audit.h"
#include "provider/provider.h"

struct rooms;
struct room;

struct rooms_opts {
	struct loop *loop;
	struct provider *place;
	struct audit_client *audit;
	const char *data_dir; // where the place keeps sessions
	uint64_t keep_ms;     // how long one that nobody holds is kept
};

struct rooms *rooms_new(const struct rooms_opts *opts);
void rooms_free(struct rooms *b); // forgets them; the sandboxes themselves live as long as the spawner wants

// The session's room; held until released. Each session has one.
struct room *room_hold(struct rooms *b, const char *session);
void room_release(struct room **x);

enum room_outcome {
	ROOM_RESULT,  // the tool has ended; `text` is its answer
	ROOM_REFUSED, // nothing ran: `text` says why
	ROOM_UNKNOWN, // room_collect: the program is there and does not know the call
	ROOM_LOST,    // the sandbox is gone, and with it what ran in it: `text` says why
	ROOM_UNTOLD,  // room_collect: cancelled before anything could be learnt
};

typedef void room_done(void *arg, enum room_outcome o, bool is_error, struct span text);

struct room_call {
	const char *id;
	struct span name, input;
	uint64_t timeout_ms;
};

// Runs a call. All is copied. `done` is called once, later, unless room_forsake.
void room_run(struct room *x, const struct room_call *call, room_done *done, void *arg);
// The result of a call that an earlier process of this worker may have started.
void room_collect(struct room *x, const char *id, room_done *done, void *arg);
// Ends the call under way: its outcome comes, later, within a few seconds.
void room_cancel(struct room *x);
// No callback any more, and no other call: the process is about to end.
void room_forsake(struct room *x);
// The result is safe elsewhere.
void room_forget(struct room *x, const char *id);
// Ends the sandbox, and its /workspace if `remove`; `done` (may be NULL) when it is gone.
void room_end(struct room *x, bool remove, void (*done)(void *arg), void *arg);

// Records that the session's /workspace is removed because of `why`, then does it; what is in the sandbox ends. Given up, with
// a line in the log, when it can't be recorded.
void room_remove(struct room *x, const char *why);

// {"session":…,"state":…,"where":…,"call":…,"running_ms":…} of each room; a new array.
json_t *rooms_json(const struct rooms *b);

#endif

// Where entries are handed in: the unix socket, its callers, and their frames.
//
// Each caller is bounded: entries in flight, entries a second, bytes not yet read by it. One that breaks the protocol is told
// so and disconnected; nobody else notices.
#ifndef SALLYPORT_RECORDER_DESK_H
#define SALLYPORT_RECORDER_DESK_H

#include "recorder/intake.h"

#define DESK_CALLERS_MAX 128
#define DESK_IN_FLIGHT_MAX 256
#define DESK_RATE_MAX 1000 // entries a caller may hand in within DESK_RATE_MS; then it waits
#define DESK_RATE_MS 50
#define DESK_HELLO_MS 5000 // for its greeting to come

struct desk;

// Binds `path` (mode 0600), replacing a stale socket; ERR_CONFLICT when a live process answers there. `origin` is told to
// callers.
MUST_USE struct result desk_start(struct loop *l, const char *path, const char *origin, struct desk **out, struct err *e);
void desk_serve(struct desk *d, struct intake *in); // from now on; `in` outlives the desk
void desk_close(struct desk *d);                    // no new callers and entries; answers still go out
void desk_stop(struct desk **d);
size_t desk_callers(const struct desk *d);

// For intake_opts: `arg` is the desk.
void desk_answered(struct caller *caller, uint64_t id, uint64_t index, const struct err *e);
void desk_settled(void *arg);

#endif

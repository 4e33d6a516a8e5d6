// What a committed change means on the loop's side: frames for streams, work for the agent loop and for pollers, credentials
// that begin and end. Filled on the store's thread, applied on the loop's.
#ifndef SALLYPORT_CONTROL_EFFECTS_H
#define SALLYPORT_CONTROL_EFFECTS_H

#include "base/err.h"
#include "base/random.h"
#include "control/auth.h"
#include "control/control_state.h"

#define EPOCH_MAX (ID_MAX + 24) // "<work id>:<epoch>", the name of a lease

struct effects_event {
	int64_t seq;
	char id[ID_MAX];
	char *type;
	char *json; // the whole event
	size_t len;
	bool for_worker; // a call that a worker runs: it goes to a worker's stream only after it is marked exposed to it
	char exposed[EPOCH_MAX]; // to which lease it is, "" to none
};

struct effects {
	char session[ID_MAX]; // of `events` and the flags below
	struct effects_event *events;
	size_t n_events;
	bool turn_due, dropped, deleted;

	char environment[ID_MAX]; // whose queue changed, or ""
	int64_t queued;           // its items in the queue now

	bool token_begins; // `token` is good from now on
	struct credential token;
	char ended_work[ID_MAX]; // tokens of this item up to `ended_epoch` are not, or ""
	int64_t ended_epoch;
	int64_t next_due; // UTC us: when a lease or a hold may run out, 0: no change
};

void effects_init(struct effects *fx);
void effects_fini(struct effects *fx);

// Adds an event; takes `json` (heap).
struct effects_event *effects_event_add(struct effects *fx, int64_t seq, const char *id, struct span type, char *json,
                                        size_t len);

// Something is due at that time: keeps the earliest.
void effects_due(struct effects *fx, int64_t utc_us);

void effects_apply(struct control *c, struct effects *fx);

#endif

// Whether a call that our journal does not know may have been handed to another worker before, on a control plane that does
// not keep count itself (ARCHITECTURE.md, "A call's life").
#ifndef SALLYPORT_WORKER_EXPOSURE_H
#define SALLYPORT_WORKER_EXPOSURE_H

#include "worker/ledger.h"
#include "worker/plane.h"

struct exposure;

struct exposure_opts {
	struct plane *plane;
	struct ledger *ledger;
	const char *item, *session; // copied
	bool counted;               // control keeps count: nothing was exposed elsewhere
	bool started_before;        // the item's `started_at` was set before our first beat
};

struct exposure *exposure_new(const struct exposure_opts *opts);
void exposure_free(struct exposure *x); // cancels a reading; NULL is fine

enum exposed { EXPOSED_NO, EXPOSED_YES, EXPOSED_UNREAD };

// Of a call with that `processed_at`, under a lease that control began at `began_us` (0: can't be told). EXPOSED_UNREAD: the
// work list must be read first. On EXPOSED_YES *why says so for people.
enum exposed exposure_of(const struct exposure *x, struct span processed_at, int64_t began_us, const char **why);

// Reads the work list; `done` once, unless the exposure is freed. Then exposure_of has an answer.
void exposure_read(struct exposure *x, void (*done)(void *arg), void *arg);

#endif

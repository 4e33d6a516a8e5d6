// One claimed work item from its acknowledgement to its stop (managed-agents-api.md 2.4 to 2.9).
#ifndef SALLYPORT_WORKER_ITEM_H
#define SALLYPORT_WORKER_ITEM_H

#include "base/json.h"
#include "worker/worker_state.h"

struct item;

struct item_opts {
	struct worker *worker;
	enum delivery delivery;
	const json_t *work;                       // as polled; read during the call only
	void (*ended)(void *arg, struct item *i); // once, later; then drop it
	void *arg;
};

// NULL (with `e`) when it is not a work item.
struct item *item_start(const struct item_opts *opts, struct err *e);
void item_drop(struct item **i);

// Gives the session back: what runs may end within 20 s, then the item is stopped and `ended` is called.
void item_drain(struct item *i);

json_t *item_json(const struct item *i); // {"item":…,"session":…,"state":…,"since_ms":…}; new

#endif

// The journal of calls: what this worker began and how it went, durable, so that no call is run twice whatever dies when
// (ARCHITECTURE.md, "A call's life"). Also which work items it has held. One SQLite file, and its id with it: a lost file is
// another journal.
#ifndef SALLYPORT_WORKER_LEDGER_H
#define SALLYPORT_WORKER_LEDGER_H

#include "base/json.h"
#include "net/loop.h"

struct ledger;
struct ledger_op;

// Opens or creates it; `opened` is called once with the journal's id (valid as long as the ledger), or why not.
MUST_USE struct result ledger_open(struct loop *l, const char *path,
                                   void (*opened)(void *arg, const char *id, const struct err *e), void *arg,
                                   struct ledger **out, struct err *e);
void ledger_close(struct ledger **l); // waits for what was handed in; no callback afterwards

enum ledger_state { LEDGER_NONE, LEDGER_INTENT, LEDGER_OUTCOME };

struct ledger_entry {
	enum ledger_state state;
	int64_t attempt;  // 1 for the first intent
	struct span body; // an outcome's request body, as posted or to be posted; empty once it was dropped for its age
};

struct ledger_call { // which call; copied
	const char *session, *id, *item;
};

// What is known of a call. The entry is valid inside the callback.
struct ledger_op *ledger_find(struct ledger *l, const struct ledger_call *c,
                              void (*done)(void *arg, const struct ledger_entry *entry, const struct err *e), void *arg);
// Each is durable when `done` says so (`e` NULL).
struct ledger_op *ledger_intent(struct ledger *l, const struct ledger_call *c, int64_t attempt,
                                void (*done)(void *arg, const struct err *e), void *arg);
struct ledger_op *ledger_outcome(struct ledger *l, const struct ledger_call *c, struct span body,
                                 void (*done)(void *arg, const struct err *e), void *arg);
// The intent was followed by nothing: the call never started.
void ledger_withdraw(struct ledger *l, const struct ledger_call *c);
void ledger_posted(struct ledger *l, const struct ledger_call *c);

// A work item is ours: noted before anything of it can reach us. `sallyport`: its control delivers at most (or at least) once
// and says so.
struct ledger_op *ledger_item(struct ledger *l, const char *item, const char *session, bool sallyport,
                              void (*done)(void *arg, const struct err *e), void *arg);
void ledger_item_lease(struct ledger *l, const char *item, int64_t until_utc_us);
void ledger_item_ended(struct ledger *l, const char *item);
// The ids of the items noted for a session (an object with them as names), or those of Sallyport's control whose lease may be
// alive although the worker that held it is not (session NULL).
struct ledger_op *ledger_items(struct ledger *l, const char *session,
                               void (*done)(void *arg, const json_t *ids, const struct err *e), void *arg);

void ledger_cancel(struct ledger_op **op); // no callback; what was handed in is done all the same

#endif

// What control tells the recorder (audit-formats.md 7), as notes that own their text, so that they can be made on the store's
// thread too.
#ifndef SALLYPORT_CONTROL_RECORD_H
#define SALLYPORT_CONTROL_RECORD_H

#include "audit/audit.h"
#include "net/loop.h"

struct record_note {
	struct record_note *next;
	enum audit_phase phase;
	bool denied, failed;
	int tries;
	// Heap or NULL; see struct audit_entry.
	char *uid, *pair, *operation, *session, *agent, *actor, *object, *reason, *arguments, *result;
	void (*recorded)(void *arg);
	void *arg;
	struct record *record;
	struct audit_pending *pending;
	struct loop_timer *again;
};

struct record_note *record_note_new(enum audit_phase phase, const char *operation);
void record_note_set(char **field, struct span value); // replaces; cut at 1 MiB
void record_note_free(struct record_note *n);          // cancels it when under way

struct record;
MUST_USE struct result record_start(struct loop *l, const char *socket_path, struct record **out, struct err *e);
void record_stop(struct record **r);
struct audit_client *record_client(const struct record *r);

// ERR_UNREACHABLE when no recorder answers: the action must be refused.
MUST_USE struct result record_check(const struct record *r, struct err *e);

// Hands the note in and calls `recorded` once when it is on disk, however long that takes: the recorder keeps one entry for
// each uid, so it is handed in again whenever it was lost on the way. The note stays the caller's.
void record_send(struct record *r, struct record_note *n, void (*recorded)(void *arg), void *arg);

#endif

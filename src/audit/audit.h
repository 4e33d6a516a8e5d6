// How a role hands an action to the recorder: an entry in, an acknowledgement out.
//
// Rule 3: an action's intent is held by the recorder, on disk, before the action starts. So: audit_record(intent) → callback OK
// → act → audit_record(outcome). If the callback brings an error the action must not start.
#ifndef SALLYPORT_AUDIT_AUDIT_H
#define SALLYPORT_AUDIT_AUDIT_H

#include "base/err.h"
#include "base/json.h"
#include "net/loop.h"

struct audit_client;
struct audit_pending;

// Connects to data_dir/run/recorder.sock and keeps connected, reconnecting by itself. Entries handed in while it is not
// connected fail at once with ERR_UNREACHABLE (fail closed); those in flight when it drops fail too: whether they were stored
// is then not known, and recording the same `uid` again is harmless (the recorder stores it once). `role` names the caller in
// the log beside what the recorder sees itself (uid, pid): one of control, worker, spawner, egress, relay, gateway, up, cli.
MUST_USE struct result audit_client_start(struct loop *l, const char *socket_path, const char *role, struct audit_client **out,
                                          struct err *e);
void audit_client_stop(struct audit_client **c);
bool audit_client_ready(const struct audit_client *c);

enum audit_phase { AUDIT_INTENT, AUDIT_OUTCOME, AUDIT_ADMIN };

// What happened, in the words of audit-formats.md 7 and 8. Spans are borrowed for the call. Payloads (arguments, results) are
// passed in clear to the recorder, which stores only a MAC and a length of them, keyed per session.
struct audit_entry {
	enum audit_phase phase;
	struct span uid;       // unique for this entry: "<call id>.intent"
	struct span pair;      // outcome: the uid of its intent
	struct span operation; // "tool_call", "session.create", "sandbox.create", "model.request", "work.claim", "key.create" …
	struct span session;   // session id, or empty
	struct span agent;     // agent id, or empty
	struct span actor;     // who caused it: key name, "model", "operator"; or empty
	struct span object;    // the tool, model, key, sandbox … acted on
	struct span rule;      // which rule decided, or empty
	bool denied;
	bool failed;
	struct span reason;    // why denied, failed or unknown, for people; no payload
	struct span arguments; // payload, MACed, up to 64 MiB
	struct span result;    // payload, MACed, up to 64 MiB
	uint64_t duration_us;  // outcome
	struct span trace;     // 32 hex digits, or empty
};

// Hands the entry in. `recorded` is called once, from the loop: `e` NULL when it is on disk. An identifier that is too long or
// malformed (session, operation and trace are strict, see audit/submission.c) is ERR_INVALID; long texts for people are cut.
struct audit_pending *audit_record(struct audit_client *c, const struct audit_entry *entry,
                                   void (*recorded)(void *arg, const struct err *e), void *arg);
void audit_cancel(struct audit_pending **p); // no callback; the entry may still be stored

#endif

#include "worker/trail.h"

#include <stdio.h>

#define UID_MAX 256
#define NETWORK_RULE "network: none (this version gives sandboxes no network)"

// "<call id>.intent", and ".intent.2" when an at-least-once environment has it run again.
static struct span call_uid(char out[UID_MAX], const struct trail_call *c, const char *what)
{
	int n = c->attempt > 1 ? snprintf(out, UID_MAX, "%s.%s.%lld", c->id, what, (long long)c->attempt)
	                       : snprintf(out, UID_MAX, "%s.%s", c->id, what);
	BUG_ON(n < 0 || n >= UID_MAX);
	return span_from(out, (size_t)n);
}

static struct audit_entry call_entry(const struct trail_call *c)
{
	return (struct audit_entry){.operation = SPAN_LIT("tool_call"),
	                            .session = span_of(c->session),
	                            .agent = span_of(c->agent),
	                            .actor = SPAN_LIT("model"),
	                            .object = c->tool};
}

struct audit_pending *trail_call_intent(struct audit_client *client, const struct trail_call *c, trail_recorded *done,
                                        void *arg)
{
	char uid[UID_MAX];
	struct audit_entry a = call_entry(c);
	a.phase = AUDIT_INTENT;
	a.uid = call_uid(uid, c, "intent");
	a.arguments = c->input;
	return audit_record(client, &a, done, arg);
}

struct audit_pending *trail_call_outcome(struct audit_client *client, const struct trail_call *c, const struct trail_outcome *o,
                                         trail_recorded *done, void *arg)
{
	char uid[UID_MAX], pair[UID_MAX];
	struct audit_entry a = call_entry(c);
	a.phase = AUDIT_OUTCOME;
	a.uid = call_uid(uid, c, "outcome");
	if (!o->unpaired)
		a.pair = call_uid(pair, c, "intent");
	a.denied = o->denied;
	a.failed = o->failed;
	a.reason = o->reason;
	a.result = o->result;
	a.duration_us = o->duration_us;
	return audit_record(client, &a, done, arg);
}

struct audit_pending *trail_sandbox(struct audit_client *client, enum audit_phase phase, const char *session, const char *name,
                                    const char *reason, struct span where, trail_recorded *done, void *arg)
{
	char uid[UID_MAX], pair[UID_MAX];
	struct audit_entry a = {.phase = phase,
	                        .operation = SPAN_LIT("sandbox.create"),
	                        .session = span_of(session),
	                        .actor = SPAN_LIT("worker"),
	                        .object = SPAN_LIT("sandbox"),
	                        .rule = SPAN_LIT(NETWORK_RULE)};
	int n = snprintf(pair, sizeof(pair), "%s.intent", name);
	BUG_ON(n < 0 || (size_t)n >= sizeof(pair));
	a.uid = span_from(pair, (size_t)n);
	if (phase == AUDIT_OUTCOME) {
		a.pair = a.uid;
		n = snprintf(uid, sizeof(uid), "%s.outcome", name);
		a.uid = span_from(uid, (size_t)n);
		a.failed = reason != NULL;
		a.reason = span_of(reason);
		a.result = where;
	}
	return audit_record(client, &a, done, arg);
}

struct audit_pending *trail_removal(struct audit_client *client, const char *session, const char *name, const char *reason,
                                    trail_recorded *done, void *arg)
{
	const struct audit_entry a = {.phase = AUDIT_ADMIN,
	                              .uid = span_of(name),
	                              .operation = SPAN_LIT("workspace.remove"),
	                              .session = span_of(session),
	                              .actor = SPAN_LIT("worker"),
	                              .object = SPAN_LIT("workspace"),
	                              .reason = span_of(reason)};
	return audit_record(client, &a, done, arg);
}

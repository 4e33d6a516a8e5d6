#include "worker/call.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tools/tools.h"
#include "worker/exposure.h"
#include "worker/lease.h"
#include "worker/ledger.h"
#include "worker/post.h"
#include "worker/room.h"
#include "worker/trail.h"

#define CALL_LIMIT_MS 120000 // as the official workers
#define RECORD_AGAIN_MS 500
#define RECORD_TRIES 20

struct call {
	struct call_opts o;
	json_t *event;
	char *id, *input;
	struct span tool;
	int64_t attempt;
	uint64_t began_us;
	struct ledger_op *writing;       // intent or outcome, on its way to our journal
	struct audit_pending *recording; // the same, to the recorder
	struct loop_timer *again;
	struct post *post;
	struct err failure; // of the intent
	bool in_room, stopped, interrupted;
	bool intended; // the recorder holds its intent
	enum call_stop how;
	char *body; // the outcome as it is posted
	size_t body_len;
	struct trail_outcome outcome;
	char *reason, *text;
	int record_tries;
};

bool call_is_ours(struct span tool)
{
	static const char *const names[] = {"bash", "read", "write", "edit", "glob", "grep"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (span_is(tool, names[i]))
			return true;
	}
	return false;
}

const char *call_id(const struct call *c)
{
	return c->id;
}

static struct ledger_call ledger_key(const struct call *c)
{
	return (struct ledger_call){.session = c->o.session, .id = c->id, .item = c->o.item};
}

static struct trail_call trail_key(const struct call *c)
{
	return (struct trail_call){.session = c->o.session,
	                           .agent = c->o.agent,
	                           .id = c->id,
	                           .tool = c->tool,
	                           .input = span_of(c->input),
	                           .attempt = c->attempt};
}

static void finish(struct call *c, enum call_end end)
{
	void (*done)(void *, enum call_end) = c->o.done;
	void *arg = c->o.arg;
	call_drop(&c);
	done(arg, end);
}

// --- the result on its way to control

static void posted(void *arg, enum post_end end)
{
	struct call *c = arg;
	const struct ledger_call key = ledger_key(c);
	c->post = NULL;
	if (end == POST_STORED)
		ledger_posted(c->o.worker->ledger, &key);
	finish(c, end == POST_STORED ? CALL_ANSWERED : CALL_LEFT);
}

static void post(struct call *c)
{
	bool once = c->stopped && c->how == CALL_STOP;
	if ((c->stopped && c->how != CALL_STOP) || (!once && !lease_live(c->o.lease))) {
		finish(c, CALL_LEFT);
		return;
	}
	const struct post_opts opts = {.plane = c->o.worker->plane,
	                               .lease = c->o.lease,
	                               .session = c->o.session,
	                               .token = c->o.token,
	                               .call = c->id,
	                               .body = span_from(c->body, c->body_len),
	                               .once = once,
	                               .done = posted,
	                               .arg = c};
	c->post = post_start(&opts);
}

// --- the outcome, kept and recorded before it is posted

static void settle_when_both(struct call *c)
{
	if (c->writing != NULL || c->recording != NULL || c->again != NULL)
		return;
	room_forget(c->o.room, c->id);
	post(c);
}

static void outcome_kept(void *arg, const struct err *e)
{
	struct call *c = arg;
	(void)e; // was logged; control's own store is then the only one
	c->writing = NULL;
	settle_when_both(c);
}

static void outcome_recorded(void *arg, const struct err *e);

static void record_outcome(void *arg)
{
	struct call *c = arg;
	const struct trail_call key = trail_key(c);
	c->again = NULL;
	c->record_tries++;
	c->recording = trail_call_outcome(c->o.worker->audit, &key, &c->outcome, outcome_recorded, c);
}

// The action is done: its outcome is told as soon as the recorder is back, and if that takes too long, without it.
static void outcome_recorded(void *arg, const struct err *e)
{
	struct call *c = arg;
	c->recording = NULL;
	// Only what time can mend is tried again: an earlier process of ours may have recorded another outcome and died.
	bool mends = e != NULL && (e->kind == ERR_UNREACHABLE || e->kind == ERR_SYSTEM);
	if (mends && c->record_tries < RECORD_TRIES && !c->outcome.denied && !c->stopped) {
		c->again = loop_timer_start(c->o.worker->loop, RECORD_AGAIN_MS, record_outcome, c);
		return;
	}
	if (e != NULL)
		log_error("worker.outcome_unrecorded", "call=%s error=%s", c->id, LOG_Q(span_of(e->msg)));
	settle_when_both(c);
}

// Takes the outcome to both journals. `reason` says why when it is not a tool's plain result.
static void settle(struct call *c, bool denied, bool is_error, struct span text, const char *reason)
{
	const struct ledger_call key = ledger_key(c);
	c->text = span_dup(text);
	c->reason = reason == NULL ? NULL : mem_strdup(reason);
	c->outcome = (struct trail_outcome){.denied = denied,
	                                    .failed = is_error,
	                                    .unpaired = !c->intended,
	                                    .reason = span_of(c->reason),
	                                    .result = span_from(c->text, text.len),
	                                    .duration_us = c->began_us == 0 ? 0 : clock_mono_us() - c->began_us};
	c->body = post_body(c->id, is_error, text, &c->body_len);
	log_info("worker.call_ended", "session=%s call=%s tool=%s error=%d ms=%llu%s%s", c->o.session, c->id, LOG_Q(c->tool),
	         is_error, (unsigned long long)(c->outcome.duration_us / 1000),
	         reason == NULL ? "" : " why=", reason == NULL ? "" : LOG_Q(span_of(reason)));
	c->writing = ledger_outcome(c->o.worker->ledger, &key, span_from(c->body, c->body_len), outcome_kept, c);
	record_outcome(c);
}

static void settle_unknown(struct call *c, const char *why)
{
	char text[1024];
	snprintf(text, sizeof(text),
	         "The outcome of this call is unknown: %s. It may have run, wholly or in part, and it was not run again. "
	         "Look at the state it works on before you repeat it.",
	         why);
	settle(c, false, true, span_of(text), why);
}

static void settle_refused(struct call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void settle_refused(struct call *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	settle(c, true, true, span_of(text), text);
}

// --- in the sandbox

static void room_answered(void *arg, enum room_outcome o, bool is_error, struct span text)
{
	struct call *c = arg;
	AUTO_FREE char *why = span_dup(text);
	c->in_room = false;
	if (o == ROOM_RESULT)
		settle(c, false, is_error, text, NULL);
	else if (o == ROOM_REFUSED)
		settle_refused(c, "%s", why);
	else if (o == ROOM_UNTOLD)
		finish(c, CALL_LEFT);
	else if (o == ROOM_UNKNOWN)
		settle_unknown(c, "the worker that had begun it was lost, and its sandbox knows nothing of it");
	else
		settle_unknown(c, why);
}

static void run(struct call *c)
{
	const struct room_call call = {.id = c->id, .name = c->tool, .input = span_of(c->input), .timeout_ms = CALL_LIMIT_MS};
	c->began_us = clock_mono_us();
	c->in_room = true;
	log_info("worker.call", "session=%s call=%s tool=%s", c->o.session, c->id, LOG_Q(c->tool));
	room_run(c->o.room, &call, room_answered, c);
}

// --- the intent, kept and recorded before it runs

static void intend_when_both(struct call *c)
{
	const struct ledger_call key = ledger_key(c);
	if (c->writing != NULL || c->recording != NULL)
		return;
	if (c->failure.kind != ERR_NONE) {
		settle_refused(c,
		               "The action was refused and did not run: its intent could not be recorded (%s). Nothing runs "
		               "here unrecorded; try again when the recorder is back.",
		               c->failure.msg);
	} else if (c->interrupted) {
		settle_refused(c, "The action did not run: the session was interrupted before it could start.");
	} else if (c->stopped || !lease_live(c->o.lease)) {
		ledger_withdraw(c->o.worker->ledger, &key);
		finish(c, CALL_LEFT);
	} else {
		run(c);
	}
}

static void intent_kept(void *arg, const struct err *e)
{
	struct call *c = arg;
	c->writing = NULL;
	if (e != NULL)
		c->failure = *e;
	intend_when_both(c);
}

static void intent_recorded(void *arg, const struct err *e)
{
	struct call *c = arg;
	c->recording = NULL;
	if (e != NULL)
		c->failure = *e;
	else
		c->intended = true;
	intend_when_both(c);
}

static void intend(struct call *c, int64_t attempt)
{
	c->attempt = attempt;
	const struct ledger_call key = ledger_key(c);
	const struct trail_call what = trail_key(c);
	c->writing = ledger_intent(c->o.worker->ledger, &key, attempt, intent_kept, c);
	c->recording = trail_call_intent(c->o.worker->audit, &what, intent_recorded, c);
}

// --- what is known of it already

static void collected(void *arg, enum room_outcome o, bool is_error, struct span text)
{
	struct call *c = arg;
	bool may_run_again = c->o.delivery == DELIVERY_AT_LEAST_ONCE && !c->stopped && lease_live(c->o.lease);
	if ((o == ROOM_LOST || o == ROOM_UNKNOWN) && may_run_again) {
		c->in_room = false;
		log_info("worker.call_again", "session=%s call=%s attempt=%lld", c->o.session, c->id,
		         (long long)c->attempt + 1);
		intend(c, c->attempt + 1);
		return;
	}
	if (o == ROOM_LOST) {
		c->in_room = false;
		settle_unknown(c, "the worker that had begun it was lost, and its sandbox with it");
		return;
	}
	room_answered(c, o, is_error, text);
}

static void judge(void *arg);

static void decide(struct call *c)
{
	const char *why = "";
	struct span at = json_span(json_object_get(c->event, "processed_at"));
	enum exposed exposed = exposure_of(c->o.exposure, at, lease_began_us(c->o.lease), &why);
	if (c->stopped || c->interrupted || !lease_live(c->o.lease))
		finish(c, CALL_LEFT);
	else if (exposed == EXPOSED_UNREAD)
		exposure_read(c->o.exposure, judge, c);
	else if (exposed == EXPOSED_YES)
		settle_unknown(c, why);
	else if (strlen(c->input) > TOOLS_INPUT_MAX)
		settle_refused(c, "The action was refused and did not run: its input has more than %zu bytes.",
		               TOOLS_INPUT_MAX);
	else
		intend(c, 1);
}

static void judge(void *arg)
{
	decide(arg);
}

static void looked_up(void *arg, const struct ledger_entry *entry, const struct err *e)
{
	struct call *c = arg;
	c->writing = NULL;
	if (e != NULL || c->stopped) {
		finish(c, CALL_LEFT); // without the journal nothing may be run
		return;
	}
	c->attempt = entry->attempt > 0 ? entry->attempt : 1;
	if (entry->state == LEDGER_NONE) {
		decide(c);
	} else if (entry->state == LEDGER_INTENT) {
		c->intended = true;
		log_info("worker.call_collect", "session=%s call=%s", c->o.session, c->id);
		c->in_room = true;
		room_collect(c->o.room, c->id, collected, c);
	} else if (entry->body.len == 0) {
		settle_unknown(c, "its result was kept for a week after it had been posted, and then dropped");
	} else {
		log_info("worker.call_repost", "session=%s call=%s", c->o.session, c->id);
		c->body = span_dup(entry->body);
		c->body_len = entry->body.len;
		room_forget(c->o.room, c->id);
		post(c);
	}
}

struct call *call_start(const struct call_opts *opts)
{
	struct call *c = NEW(struct call);
	c->o = *opts;
	c->event = json_incref(opts->event);
	c->id = span_dup(json_span(json_object_get(c->event, "id")));
	c->tool = json_span(json_object_get(c->event, "name"));
	const json_t *input = json_object_get(c->event, "input");
	c->input = json_is_object(input) ? json_text(input, NULL) : mem_strdup("{}");
	const struct ledger_call key = ledger_key(c);
	c->writing = ledger_find(c->o.worker->ledger, &key, looked_up, c);
	return c;
}

void call_interrupt(struct call *c)
{
	c->interrupted = true;
	if (c->in_room)
		room_cancel(c->o.room);
}

void call_stop(struct call *c, enum call_stop how)
{
	if (c->stopped && c->how != CALL_STOP)
		return;
	// The result that came up may be the one we are posting: control takes the same one twice.
	if (how == CALL_MOOT && c->post != NULL)
		return;
	c->stopped = true;
	c->how = how;
	if (c->in_room)
		room_cancel(c->o.room);
	else if (c->post != NULL && how == CALL_STOP)
		post_hurry(c->post);
	else if (c->post != NULL)
		finish(c, CALL_LEFT);
}

void call_drop(struct call **call)
{
	struct call *c = *call;
	if (c == NULL)
		return;
	*call = NULL;
	ledger_cancel(&c->writing);
	audit_cancel(&c->recording);
	loop_timer_cancel(&c->again);
	post_drop(&c->post);
	if (c->in_room)
		room_forsake(c->o.room);
	json_decref(c->event);
	free(c->id);
	free(c->input);
	free(c->body);
	free(c->reason);
	free(c->text);
	free(c);
}

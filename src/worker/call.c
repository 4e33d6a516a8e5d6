#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tools/tools.h"
#include "worker/call_state.h"
#include "worker/exposure.h"
#include "worker/lease.h"
#include "worker/post.h"
#include "worker/room.h"

#define CALL_LIMIT_MS 120000 // as the official workers

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

struct ledger_call call_ledger_key(const struct call *c)
{
	return (struct ledger_call){.session = c->o.session, .id = c->id, .item = c->o.item};
}

struct trail_call call_trail_key(const struct call *c)
{
	return (struct trail_call){.session = c->o.session,
	                           .agent = c->o.agent,
	                           .id = c->id,
	                           .tool = c->tool,
	                           .input = span_of(c->input),
	                           .attempt = c->attempt};
}

void call_finish(struct call *c, enum call_end end)
{
	void (*done)(void *, enum call_end) = c->o.done;
	void *arg = c->o.arg;
	call_drop(&c);
	done(arg, end);
}

// --- in the sandbox

static void room_answered(void *arg, enum room_outcome o, bool is_error, struct span text)
{
	struct call *c = arg;
	AUTO_FREE char *why = span_dup(text);
	c->in_room = false;
	if (o == ROOM_RESULT)
		call_settle(c, false, is_error, text, NULL);
	else if (o == ROOM_REFUSED)
		call_settle_refused(c, "%s", why);
	else if (o == ROOM_UNTOLD)
		call_finish(c, CALL_LEFT);
	else if (o == ROOM_UNKNOWN)
		call_settle_unknown(c, "the worker that had begun it was lost, and its sandbox knows nothing of it");
	else
		call_settle_unknown(c, why);
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
	const struct ledger_call key = call_ledger_key(c);
	if (c->writing != NULL || c->recording != NULL)
		return;
	if (c->failure.kind != ERR_NONE) {
		call_settle_refused(
		        c,
		        "The action was refused and did not run: its intent could not be recorded (%s). Nothing runs "
		        "here unrecorded; try again when the recorder is back.",
		        c->failure.msg);
	} else if (c->interrupted) {
		call_settle_refused(c, "The action did not run: the session was interrupted before it could start.");
	} else if (c->stopped || !lease_live(c->o.lease)) {
		ledger_withdraw(c->o.worker->ledger, &key);
		call_finish(c, CALL_LEFT);
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
	const struct ledger_call key = call_ledger_key(c);
	const struct trail_call what = call_trail_key(c);
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
		call_settle_unknown(c, "the worker that had begun it was lost, and its sandbox with it");
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
		call_finish(c, CALL_LEFT);
	else if (exposed == EXPOSED_UNREAD)
		exposure_read(c->o.exposure, judge, c);
	else if (exposed == EXPOSED_YES)
		call_settle_unknown(c, why);
	else if (strlen(c->input) > TOOLS_INPUT_MAX)
		call_settle_refused(c, "The action was refused and did not run: its input has more than %zu bytes.",
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
		call_finish(c, CALL_LEFT); // without the journal nothing may be run
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
		call_settle_unknown(c, "its result was kept for a week after it had been posted, and then dropped");
	} else {
		log_info("worker.call_repost", "session=%s call=%s", c->o.session, c->id);
		c->body = span_dup(entry->body);
		c->body_len = entry->body.len;
		room_forget(c->o.room, c->id);
		call_post(c);
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
	const struct ledger_call key = call_ledger_key(c);
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
		call_finish(c, CALL_LEFT);
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

// A call's outcome: kept in our journal and recorded, then posted, then forgotten where it ran.
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/call_state.h"
#include "worker/lease.h"
#include "worker/plane.h"
#include "worker/post.h"
#include "worker/room.h"

#define RECORD_AGAIN_MS 500
#define RECORD_TRIES 20

// --- the result on its way to control

static void posted(void *arg, enum post_end end)
{
	struct call *c = arg;
	const struct ledger_call key = call_ledger_key(c);
	c->post = NULL;
	if (end == POST_STORED)
		ledger_posted(c->o.worker->ledger, &key);
	call_finish(c, end == POST_STORED ? CALL_ANSWERED : CALL_LEFT);
}

void call_post(struct call *c)
{
	bool once = c->stopped && c->how == CALL_STOP;
	if ((c->stopped && c->how != CALL_STOP) || (!once && !lease_live(c->o.lease))) {
		call_finish(c, CALL_LEFT);
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
	call_post(c);
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
	const struct trail_call key = call_trail_key(c);
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
void call_settle(struct call *c, bool denied, bool is_error, struct span text, const char *reason)
{
	const struct ledger_call key = call_ledger_key(c);
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

void call_settle_unknown(struct call *c, const char *why)
{
	char text[1024];
	snprintf(text, sizeof(text),
	         "The outcome of this call is unknown: %s. It may have run, wholly or in part, and it was not run again. "
	         "Look at the state it works on before you repeat it.",
	         why);
	call_settle(c, false, true, span_of(text), why);
}

void call_settle_refused(struct call *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	call_settle(c, true, true, span_of(text), text);
}

#include "worker/item.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/exposure.h"
#include "worker/lease.h"
#include "worker/ledger.h"
#include "worker/plane.h"
#include "worker/runner.h"
#include "worker/token.h"

#define ID_LEN_MAX 64
#define SESSION_MAX ((size_t)16 << 20)
#define END_MS 12000 // from "no more" until the item is let go, whatever hangs
#define STOP_MS 5000

enum item_state { ITEM_CLAIMED, ITEM_OPENING, ITEM_RUNNING, ITEM_ENDING, ITEM_STOPPING, ITEM_OVER };

struct item {
	struct item_opts o;
	enum item_state state;
	char *id, *session, *agent, *token;
	bool is_session, started_before, noted, held, fetched, lost;
	struct plane_call *call; // ack, session or stop: one at a time
	struct ledger_op *noting;
	struct lease *lease;
	struct exposure *exposure;
	struct runner *runner;
	struct loop_timer *soon, *deadline;
	uint64_t began_ms;
};

static void over(void *arg)
{
	struct item *i = arg;
	i->soon = NULL;
	i->o.ended(i->o.arg, i);
}

static void end(struct item *i)
{
	if (i->state == ITEM_OVER)
		return;
	i->state = ITEM_OVER;
	loop_timer_cancel(&i->deadline);
	lease_drop(&i->lease);
	ledger_item_ended(i->o.worker->ledger, i->id);
	log_info("worker.item_ended", "item=%s session=%s lost=%d", i->id, i->session, i->lost);
	i->soon = loop_timer_start(i->o.worker->loop, 0, over, i);
}

// --- the stop

static void stopped(void *arg, const struct plane_answer *a)
{
	struct item *i = arg;
	i->call = NULL;
	if (!a->ok && a->status != 409) // it was stopped already
		log_warn("worker.stop_failed", "item=%s error=%s", i->id, LOG_Q(span_of(a->why.msg)));
	end(i);
}

static void stop_hung(void *arg)
{
	struct item *i = arg;
	i->deadline = NULL;
	plane_cancel(&i->call);
	log_warn("worker.stop_failed", "item=%s error=\"no answer\"", i->id);
	end(i);
}

// Everything in the session is at rest. An item whose lease was lost is left to whoever holds it now.
static void let_go(struct item *i)
{
	runner_drop(&i->runner);
	exposure_free(i->exposure);
	i->exposure = NULL;
	plane_cancel(&i->call);
	ledger_cancel(&i->noting);
	loop_timer_cancel(&i->deadline);
	if (i->lost) {
		end(i);
		return;
	}
	lease_drop(&i->lease);
	i->state = ITEM_STOPPING;
	AUTO_FREE char *path = mem_printf("/v1/environments/%s/work/%s/stop", plane_environment(i->o.worker->plane), i->id);
	const struct plane_request r = {.method = "POST",
	                                .path = path,
	                                .token = i->token,
	                                .body = SPAN_LIT("{\"force\":true}"),
	                                .timeout_ms = STOP_MS,
	                                .done = stopped,
	                                .arg = i};
	i->call = plane_send(i->o.worker->plane, &r);
	i->deadline = loop_timer_start(i->o.worker->loop, 2 * STOP_MS, stop_hung, i);
}

static void end_hung(void *arg)
{
	struct item *i = arg;
	i->deadline = NULL;
	log_warn("worker.item_hung", "item=%s session=%s", i->id, i->session);
	let_go(i);
}

static void wind_down(struct item *i, enum runner_stop how)
{
	if (i->state >= ITEM_STOPPING)
		return;
	if (i->runner == NULL) {
		let_go(i);
		return;
	}
	i->state = ITEM_ENDING;
	if (how != RUNNER_DRAIN) {
		loop_timer_cancel(&i->deadline);
		i->deadline = loop_timer_start(i->o.worker->loop, END_MS, end_hung, i);
	}
	runner_stop(i->runner, how);
}

void item_drain(struct item *i)
{
	wind_down(i, RUNNER_DRAIN);
}

// --- the session

static void runner_ended(void *arg, enum runner_end why)
{
	struct item *i = arg;
	(void)why;
	let_go(i);
}

static void run_when_ready(struct item *i)
{
	if (!i->held || !i->fetched || i->state != ITEM_OPENING)
		return;
	i->state = ITEM_RUNNING;
	const struct exposure_opts exposure = {.plane = i->o.worker->plane,
	                                       .ledger = i->o.worker->ledger,
	                                       .item = i->id,
	                                       .session = i->session,
	                                       .counted = i->o.delivery != DELIVERY_UNTOLD,
	                                       .started_before = i->started_before};
	i->exposure = exposure_new(&exposure);
	const struct runner_opts runner = {.worker = i->o.worker,
	                                   .lease = i->lease,
	                                   .exposure = i->exposure,
	                                   .delivery = i->o.delivery,
	                                   .item = i->id,
	                                   .session = i->session,
	                                   .agent = i->agent,
	                                   .token = i->token,
	                                   .ended = runner_ended,
	                                   .arg = i};
	i->runner = runner_start(&runner);
}

static void fetched(void *arg, const struct plane_answer *a)
{
	struct item *i = arg;
	i->call = NULL;
	if (!a->ok || !json_is_object(a->body)) {
		log_error("worker.session_unreadable", "session=%s error=%s", i->session, LOG_Q(span_of(a->why.msg)));
		let_go(i);
		return;
	}
	if (span_is(json_span(json_object_get(a->body, "status")), "terminated")) {
		log_info("worker.session_terminated", "item=%s session=%s", i->id, i->session);
		let_go(i);
		return;
	}
	struct span agent = json_span(json_object_get(json_object_get(a->body, "agent"), "id"));
	i->agent = plane_id_ok(agent, ID_LEN_MAX) ? span_dup(agent) : mem_strdup("");
	i->fetched = true;
	run_when_ready(i);
}

static void fetch_session(struct item *i)
{
	AUTO_FREE char *path = mem_printf("/v1/sessions/%s", i->session);
	const struct plane_request r = {
	        .method = "GET", .path = path, .token = i->token, .answer_max = SESSION_MAX, .done = fetched, .arg = i};
	i->call = plane_send(i->o.worker->plane, &r);
}

// --- the lease

static void lease_held(void *arg)
{
	struct item *i = arg;
	i->held = true;
	run_when_ready(i);
}

static void lease_extended(void *arg, int64_t until_utc_us)
{
	struct item *i = arg;
	ledger_item_lease(i->o.worker->ledger, i->id, until_utc_us);
}

static void lease_ended(void *arg, enum lease_end why)
{
	struct item *i = arg;
	i->lost = why == LEASE_LOST;
	wind_down(i, i->lost ? RUNNER_LOST : RUNNER_STOP);
}

// --- the claim

static void begin_when_ready(struct item *i)
{
	if (!i->noted || i->call != NULL || i->state != ITEM_CLAIMED)
		return;
	if (!i->is_session) {
		log_info("worker.item_skipped", "item=%s reason=\"not a session\"", i->id);
		let_go(i);
		return;
	}
	i->state = ITEM_OPENING;
	const struct lease_opts lease = {.plane = i->o.worker->plane,
	                                 .item = i->id,
	                                 .token = i->token,
	                                 .ttl_s = i->o.worker->lease_ttl_s,
	                                 .held = lease_held,
	                                 .extended = lease_extended,
	                                 .ended = lease_ended,
	                                 .arg = i};
	i->lease = lease_start(&lease);
	fetch_session(i);
}

static void acked(void *arg, const struct plane_answer *a)
{
	struct item *i = arg;
	i->call = NULL;
	if (!a->ok) {
		log_warn("worker.ack_failed", "item=%s error=%s", i->id, LOG_Q(span_of(a->why.msg)));
		ledger_cancel(&i->noting);
		i->lost = true; // it is left to be claimed again
		end(i);
		return;
	}
	if (a->body != NULL && json_is_string(json_object_get(a->body, "started_at")))
		i->started_before = true;
	begin_when_ready(i);
}

static void noted(void *arg, const struct err *e)
{
	struct item *i = arg;
	i->noting = NULL;
	if (e != NULL) {
		plane_cancel(&i->call);
		i->lost = true;
		end(i);
		return;
	}
	i->noted = true;
	begin_when_ready(i);
}

static void ack(struct item *i)
{
	AUTO_FREE char *path = mem_printf("/v1/environments/%s/work/%s/ack", plane_environment(i->o.worker->plane), i->id);
	const struct plane_request r = {.method = "POST", .path = path, .done = acked, .arg = i};
	i->call = plane_send(i->o.worker->plane, &r);
}

static void take_token(struct item *i, const json_t *work)
{
	struct span secret = json_span(json_object_get(work, "secret"));
	i->token = token_from_secret(secret);
	if (i->token == NULL && secret.len > 0)
		log_warn("worker.secret_unusable", "item=%s effect=\"the environment key is used instead\"", i->id);
}

struct item *item_start(const struct item_opts *opts, struct err *e)
{
	struct span id = json_span(json_object_get(opts->work, "id"));
	const json_t *data = json_object_get(opts->work, "data");
	struct span session = json_span(json_object_get(data, "id"));
	bool is_session = span_is(json_span(json_object_get(data, "type")), "session");
	if (!plane_id_ok(id, ID_LEN_MAX) || (is_session && !plane_id_ok(session, ID_LEN_MAX))) {
		err_set(e, ERR_INVALID, "a polled work item has no usable id");
		return NULL;
	}
	struct item *i = NEW(struct item);
	i->o = *opts;
	i->o.work = NULL;
	i->id = span_dup(id);
	i->session = is_session ? span_dup(session) : mem_strdup("");
	i->is_session = is_session;
	i->started_before = json_is_string(json_object_get(opts->work, "started_at"));
	i->began_ms = clock_mono_ms();
	take_token(i, opts->work);
	log_info("worker.claimed", "item=%s session=%s", i->id, i->session);
	ack(i);
	i->noting = ledger_item(opts->worker->ledger, i->id, i->session, opts->delivery != DELIVERY_UNTOLD, noted, i);
	return i;
}

void item_drop(struct item **item)
{
	struct item *i = *item;
	if (i == NULL)
		return;
	*item = NULL;
	runner_drop(&i->runner);
	lease_drop(&i->lease);
	exposure_free(i->exposure);
	plane_cancel(&i->call);
	ledger_cancel(&i->noting);
	loop_timer_cancel(&i->soon);
	loop_timer_cancel(&i->deadline);
	if (i->token != NULL)
		mem_wipe(i->token, strlen(i->token));
	free(i->token);
	free(i->id);
	free(i->session);
	free(i->agent);
	free(i);
}

json_t *item_json(const struct item *i)
{
	static const char *const states[] = {"claimed", "opening", "running", "ending", "stopping", "over"};
	return json_pack("{s:s, s:s, s:s, s:I}", "item", i->id, "session", i->session, "state", states[i->state], "since_ms",
	                 (json_int_t)(clock_mono_ms() - i->began_ms));
}

#include "control/work_lease.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/mem.h"
#include "control/calls.h"

static struct result answer_work(struct op *op, const struct work_row *w, const char *secret, struct err *e)
{
	AUTO_JSON json_t *j = work_row_json(w, secret);
	size_t len = 0;
	AUTO_FREE char *text = json_text(j, &len);
	return buf_add(&op->answer, span_from(text, len)) ? OK : err_set(e, ERR_TOO_LARGE, "the answer is too large");
}

// Ends the lease that the item has: its token, and what was exposed to it. The session may go on by that.
static struct result end_lease(struct op *op, struct store_tx *tx, const struct work_row *w, struct err *e)
{
	char epoch[EPOCH_MAX];
	work_epoch(epoch, w->id, w->epoch);
	memcpy(op->fx.ended_work, w->id, sizeof(op->fx.ended_work));
	op->fx.ended_epoch = w->epoch;
	TRY(store_exec(tx, e, "DELETE FROM tokens WHERE work = $1", "s", span_of(w->id)));
	struct session_tx s;
	if (failed(session_tx_load(&s, op, tx, w->session_id, e)))
		return e->kind == ERR_NOT_FOUND ? OK : FAIL; // deleted
	if (s.status == SESSION_TERMINATED)
		return OK;
	TRY(calls_lease_ended(&s, epoch, span_of(w->journal), w->ttl, e));
	return session_tx_save(&s, e);
}

static struct result store_token(struct op *op, struct store_tx *tx, const struct work_row *w, const char *token, struct err *e)
{
	struct credential *c = &op->fx.token;
	op->fx.token_begins = true;
	c->kind = AUTH_TOKEN;
	c->epoch = w->epoch;
	auth_hash(span_of(token), c->hash);
	memcpy(c->id, w->id, ID_MAX);
	memcpy(c->environment, w->environment, ID_MAX);
	memcpy(c->session, w->session_id, ID_MAX);
	return store_exec(tx, e, "INSERT INTO tokens(hash, work, epoch, environment, session_id) VALUES ($1, $2, $3, $4, $5)",
	                  "bsiss", span_from((const char *)c->hash, AUTH_HASH_LEN), span_of(w->id), w->epoch,
	                  span_of(w->environment), span_of(w->session_id));
}

static void secret_of(const char *token, char out[256])
{
	char text[160];
	int n = snprintf(text, sizeof(text), "{\"sessions_token\":\"%s\"}", token);
	encode_base64url(text, (size_t)n, out);
}

static struct result find_claimable(struct store_tx *tx, const struct work_claim *c, int64_t now, struct work_row *w,
                                    bool *found, struct err *e)
{
	struct result r = store_query_one(
	        tx, e, work_tx_take, w,
	        "SELECT " WORK_COLUMNS
	        " FROM work w WHERE w.environment = $1 AND w.state = 0"
	        " AND (w.claimed_at IS NULL OR w.claimed_at <= $2)"
	        " AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.session = w.session AND c.open = 1 AND c.hold_until > $3"
	        " AND c.journal <> $4) ORDER BY w.num LIMIT 1",
	        "siis", span_of(c->environment), now - c->reclaim_us, now, span_of(c->journal));
	*found = !failed(r);
	return failed(r) && e->kind != ERR_NOT_FOUND ? r : OK;
}

struct result work_lease_claim(struct op *op, struct store_tx *tx, struct work_claim *c, struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	int64_t now = clock_utc_us();
	TRY(find_claimable(tx, c, now, &w, &c->found, e));
	if (!c->found)
		return buf_add_str(&op->answer, "null") ? OK : FAIL;
	if (w.claimed_at != 0)
		TRY(end_lease(op, tx, &w, e));
	w.epoch++;
	w.claimed_at = now;
	w.acknowledged_at = 0;
	snprintf(w.worker, sizeof(w.worker), "%s", c->worker);
	snprintf(w.journal, sizeof(w.journal), "%s", c->journal);
	TRY(work_tx_save(tx, &w, e));
	char epoch[EPOCH_MAX];
	work_epoch(epoch, w.id, w.epoch);
	// What was held for this journal is this lease's now: it alone can know how those calls went.
	TRY(store_exec(
	        tx, e,
	        "UPDATE calls SET epoch = $1, hold_until = NULL WHERE session = $2 AND open = 1 AND hold_until IS NOT NULL"
	        " AND journal = $3",
	        "sis", span_of(epoch), w.session, span_of(c->journal)));
	TRY(store_token(op, tx, &w, c->token, e));
	TRY(work_tx_count(op, tx, w.environment, e));
	struct record_note *n = op_note(op, AUDIT_ADMIN, "work.claim", w.session_id, w.id);
	record_note_set(&n->reason, span_of(c->worker));
	char secret[256];
	secret_of(c->token, secret);
	return answer_work(op, &w, secret, e);
}

struct result work_lease_unclaim(struct op *op, struct store_tx *tx, const char *environment, const char *id, int64_t epoch,
                                 struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	TRY(work_tx_load(tx, environment, id, &w, e));
	if (w.state != WORK_QUEUED || w.epoch != epoch)
		return OK;
	TRY(end_lease(op, tx, &w, e));
	w.claimed_at = 0;
	TRY(work_tx_save(tx, &w, e));
	return work_tx_count(op, tx, environment, e);
}

static struct result refuse(struct op *op, struct err *e, enum err_kind kind, const char *text)
{
	op->error.final = true;
	return err_set(e, kind, "%s", text);
}

struct result work_lease_ack(struct op *op, struct store_tx *tx, struct work_verb *v, struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	TRY(work_tx_load(tx, v->environment, v->id, &w, e));
	if (w.state != WORK_QUEUED || w.claimed_at == 0)
		return refuse(op, e, ERR_CONFLICT, "this work item is not waiting for an acknowledgement");
	w.state = WORK_STARTING;
	w.acknowledged_at = clock_utc_us();
	w.lease_until = w.acknowledged_at + w.ttl * 1000000 + WORK_LAPSE_GRACE_US;
	effects_due(&op->fx, w.lease_until);
	TRY(work_tx_save(tx, &w, e));
	TRY(work_tx_count(op, tx, w.environment, e));
	return answer_work(op, &w, NULL, e);
}

static json_t *heartbeat_json(const struct work_row *w)
{
	char at[CLOCK_RFC3339_LEN] = "";
	if (w->heartbeat_at != 0)
		clock_format(w->heartbeat_at, at);
	return json_string(at);
}

static struct result lost(struct op *op, const struct work_row *w, struct err *e)
{
	json_t *last = w->heartbeat_at == 0 ? json_null() : heartbeat_json(w);
	op->error.status = 412;
	op->error.type = "invalid_request_error";
	op->error.details = json_pack("{s:s, s:{s:s, s:o, s:b, s:I}}", "error_code", "heartbeat_precondition_failed",
	                              "current_state", "state", work_state_name(w->state), "last_heartbeat", last,
	                              "lease_extended", 0, "ttl_seconds", (json_int_t)w->ttl);
	return err_set(e, ERR_CONFLICT, "expected_last_heartbeat is not the stored one: another worker may hold the lease");
}

static bool holds(const struct work_row *w, const struct work_verb *v)
{
	if (v->superseded || w->state == WORK_QUEUED)
		return false;
	if (v->expected == NULL)
		return true;
	if (w->heartbeat_at == 0)
		return strcmp(v->expected, "NO_HEARTBEAT") == 0;
	char stored[CLOCK_RFC3339_LEN];
	clock_format(w->heartbeat_at, stored);
	return strcmp(v->expected, stored) == 0;
}

static void beat(struct work_row *w, const struct work_verb *v)
{
	int64_t now = clock_utc_us();
	if (v->desired_ttl != 0)
		w->ttl = v->desired_ttl < WORK_TTL_MIN_S   ? WORK_TTL_MIN_S
		         : v->desired_ttl > WORK_TTL_MAX_S ? WORK_TTL_MAX_S
		                                           : v->desired_ttl;
	w->heartbeat_at = now > w->heartbeat_at ? now : w->heartbeat_at + 1; // each value is another one
	w->lease_until = now + w->ttl * 1000000 + WORK_LAPSE_GRACE_US;
	if (w->state == WORK_STARTING) {
		w->state = WORK_ACTIVE;
		w->started_at = now;
	}
}

struct result work_lease_heartbeat(struct op *op, struct store_tx *tx, struct work_verb *v, struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	TRY(work_tx_load(tx, v->environment, v->id, &w, e));
	bool ending = w.state == WORK_STOPPING || w.state == WORK_STOPPED;
	bool mine = v->epoch < 0 || v->epoch == w.epoch;
	if (!mine || (!ending && !holds(&w, v)))
		return lost(op, &w, e);
	if (w.state != WORK_STOPPED) {
		beat(&w, v);
		effects_due(&op->fx, w.lease_until);
		TRY(work_tx_save(tx, &w, e));
	}
	AUTO_JSON json_t *j = json_pack("{s:s, s:o, s:b, s:s, s:I}", "type", "work_heartbeat", "last_heartbeat",
	                                heartbeat_json(&w), "lease_extended", w.state != WORK_STOPPED, "state",
	                                work_state_name(w.state), "ttl_seconds", (json_int_t)w.ttl);
	AUTO_FREE char *text = json_text(j, NULL);
	return buf_add_str(&op->answer, text) ? OK : FAIL;
}

struct result work_lease_stop(struct op *op, struct store_tx *tx, struct work_verb *v, struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	TRY(work_tx_load(tx, v->environment, v->id, &w, e));
	if (w.state == WORK_STOPPED)
		return refuse(op, e, ERR_CONFLICT, "this work item is stopped already");
	if (v->superseded || (v->epoch >= 0 && v->epoch != w.epoch))
		return refuse(op, e, ERR_CONFLICT, "this lease has ended: the work item is another worker's");
	int64_t now = clock_utc_us();
	if (w.stop_requested_at == 0)
		w.stop_requested_at = now;
	bool over = v->force || w.claimed_at == 0; // an item that nobody has can't be wound down
	w.state = over ? WORK_STOPPED : WORK_STOPPING;
	if (over) {
		w.stopped_at = now;
		w.lease_until = 0;
	} else if (w.lease_until == 0) {
		w.lease_until = now + w.ttl * 1000000 + WORK_LAPSE_GRACE_US;
		effects_due(&op->fx, w.lease_until);
	}
	TRY(work_tx_save(tx, &w, e));
	struct record_note *n = op_note(op, AUDIT_ADMIN, "work.stop", w.session_id, w.id);
	record_note_set(&n->reason, over ? SPAN_LIT("stopped") : SPAN_LIT("asked to stop"));
	if (over)
		TRY(end_lease(op, tx, &w, e));
	TRY(work_tx_count(op, tx, w.environment, e));
	return answer_work(op, &w, NULL, e);
}

struct result work_lease_lapse(struct op *op, struct store_tx *tx, const char *environment, const char *id, struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	TRY(work_tx_load(tx, environment, id, &w, e));
	int64_t now = clock_utc_us();
	if (w.lease_until == 0 || w.lease_until > now)
		return OK; // it has beaten meanwhile
	struct work_row ended = w;
	bool stop = w.state == WORK_STOPPING;
	w.state = stop ? WORK_STOPPED : WORK_QUEUED;
	w.stopped_at = stop ? now : 0;
	w.lease_until = w.claimed_at = 0;
	if (!stop)
		w.heartbeat_at = w.acknowledged_at = w.started_at = 0;
	TRY(work_tx_save(tx, &w, e));
	struct record_note *n = op_note(op, AUDIT_ADMIN, "work.lapse", w.session_id, w.id);
	record_note_set(&n->reason, span_of(w.worker));
	TRY(end_lease(op, tx, &ended, e));
	return work_tx_count(op, tx, environment, e);
}

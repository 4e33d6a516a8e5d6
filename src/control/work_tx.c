#include "control/work_tx.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

static void copy_text(char *out, size_t size, struct span s)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;
	memcpy(out, s.data == NULL ? "" : s.data, n);
	out[n] = '\0';
}

bool work_tx_take(void *arg, const struct store_row *row)
{
	struct work_row *w = arg;
	memset(w, 0, sizeof(*w));
	w->num = store_int(row, 0);
	copy_text(w->id, sizeof(w->id), store_text(row, 1));
	copy_text(w->environment, sizeof(w->environment), store_text(row, 2));
	w->session = store_int(row, 3);
	copy_text(w->session_id, sizeof(w->session_id), store_text(row, 4));
	w->state = (enum work_state)store_int(row, 5);
	w->epoch = store_int(row, 6);
	int64_t *times[] = {&w->claimed_at,   &w->created_at,        &w->acknowledged_at, &w->started_at,
	                    &w->heartbeat_at, &w->stop_requested_at, &w->stopped_at,      &w->lease_until};
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		*times[i] = store_int(row, 7 + (int)i);
	w->ttl = store_int(row, 15);
	copy_text(w->worker, sizeof(w->worker), store_text(row, 16));
	copy_text(w->journal, sizeof(w->journal), store_text(row, 17));
	w->metadata = span_dup(store_text(row, 18));
	return true;
}

void work_row_fini(struct work_row *w)
{
	free(w->metadata);
	w->metadata = NULL;
}

struct result work_tx_load(struct store_tx *tx, const char *environment, const char *id, struct work_row *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	struct result r = store_query_one(tx, e, work_tx_take, out,
	                                  "SELECT " WORK_COLUMNS " FROM work w WHERE w.id = $1 AND w.environment = $2", "ss",
	                                  span_of(id), span_of(environment));
	if (failed(r) && e->kind == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND, "environment %s has no work item %s", environment, id);
	return r;
}

static struct span or_null(const char *text)
{
	return text[0] == '\0' ? (struct span){NULL, 0} : span_of(text);
}

struct result work_tx_save(struct store_tx *tx, const struct work_row *w, struct err *e)
{
	// A time of 0 is kept as null, so that indexes and comparisons see it as such.
	return store_exec(tx, e,
	                  "UPDATE work SET state = $1, epoch = $2, claimed_at = nullif($3, 0), acknowledged_at = nullif($4, 0),"
	                  " started_at = nullif($5, 0), heartbeat_at = nullif($6, 0), stop_requested_at = nullif($7, 0),"
	                  " stopped_at = nullif($8, 0), lease_until = nullif($9, 0), ttl = $10, worker = $11, journal = $12,"
	                  " metadata = $13 WHERE num = $14",
	                  "iiiiiiiiiizzsi", (int64_t)w->state, w->epoch, w->claimed_at, w->acknowledged_at, w->started_at,
	                  w->heartbeat_at, w->stop_requested_at, w->stopped_at, w->lease_until, w->ttl, or_null(w->worker),
	                  or_null(w->journal), span_of(w->metadata), w->num);
}

static json_t *time_json(int64_t at)
{
	if (at == 0)
		return json_null();
	char text[CLOCK_RFC3339_LEN];
	clock_format(at, text);
	return json_string(text);
}

const char *work_state_name(enum work_state s)
{
	static const char *const names[] = {"queued", "starting", "active", "stopping", "stopped"};
	return names[s];
}

json_t *work_row_json(const struct work_row *w, const char *secret)
{
	json_t *metadata = NULL;
	if (failed(json_parse_object(span_of(w->metadata), "metadata", &metadata, NULL)))
		metadata = json_object();
	return json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", w->id, "type",
	                 "work", "environment_id", w->environment, "data", "type", "session", "id", w->session_id, "state",
	                 work_state_name(w->state), "created_at", time_json(w->created_at), "acknowledged_at",
	                 time_json(w->acknowledged_at), "started_at", time_json(w->started_at), "latest_heartbeat_at",
	                 time_json(w->heartbeat_at), "stop_requested_at", time_json(w->stop_requested_at), "stopped_at",
	                 time_json(w->stopped_at), "metadata", metadata, "secret",
	                 secret == NULL ? json_null() : json_string(secret));
}

void work_epoch(char out[EPOCH_MAX], const char *id, int64_t epoch)
{
	snprintf(out, EPOCH_MAX, "%s:%lld", id, (long long)epoch);
}

static bool take_int(void *arg, const struct store_row *row)
{
	*(int64_t *)arg = store_int(row, 0);
	return true;
}

struct result work_tx_count(struct op *op, struct store_tx *tx, const char *environment, struct err *e)
{
	copy_text(op->fx.environment, sizeof(op->fx.environment), span_of(environment));
	return store_query_one(tx, e, take_int, &op->fx.queued,
	                       "SELECT count(*) FROM work WHERE environment = $1 AND state = 0", "s", span_of(environment));
}

struct result work_tx_ensure(struct session_tx *s, struct err *e)
{
	int64_t live = 0;
	TRY(store_query_one(s->tx, e, take_int, &live, "SELECT count(*) FROM work WHERE session = $1 AND state < 4", "i",
	                    s->num));
	if (live > 0)
		return OK;
	char id[ID_MAX];
	id_make(id, "work");
	TRY(store_exec(s->tx, e,
	               "INSERT INTO work(id, environment, session, session_id, state, epoch, created_at, ttl, metadata)"
	               " VALUES ($1, $2, $3, $4, 0, 0, $5, $6, '{}')",
	               "ssisii", span_of(id), span_of(s->environment), s->num, span_of(s->id), s->now,
	               (int64_t)WORK_TTL_DEFAULT_S));
	return work_tx_count(s->op, s->tx, s->environment, e);
}

static bool take_epoch(void *arg, const struct store_row *row)
{
	char id[ID_MAX];
	copy_text(id, sizeof(id), store_text(row, 0));
	work_epoch(arg, id, store_int(row, 1));
	return true;
}

struct result work_tx_live_epoch(struct store_tx *tx, int64_t session, char out[EPOCH_MAX], struct err *e)
{
	out[0] = '\0';
	return store_query(tx, e, take_epoch, out,
	                   "SELECT id, epoch FROM work WHERE session = $1 AND state < 4 AND claimed_at IS NOT NULL", "i",
	                   session);
}

struct result work_tx_stop_session(struct op *op, struct store_tx *tx, int64_t session, int64_t now, struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	struct result r =
	        store_query_one(tx, e, work_tx_take, &w,
	                        "SELECT " WORK_COLUMNS " FROM work w WHERE w.session = $1 AND w.state < 4", "i", session);
	if (failed(r))
		return e->kind == ERR_NOT_FOUND ? OK : r;
	if (w.stop_requested_at == 0)
		w.stop_requested_at = now;
	bool claimed = w.claimed_at != 0;
	w.state = claimed ? WORK_STOPPING : WORK_STOPPED;
	if (!claimed)
		w.stopped_at = now;
	else if (w.lease_until == 0)
		w.lease_until = now + w.ttl * 1000000;
	TRY(work_tx_save(tx, &w, e));
	if (w.lease_until != 0)
		effects_due(&op->fx, w.lease_until);
	return work_tx_count(op, tx, w.environment, e);
}

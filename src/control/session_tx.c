#include "control/session_tx.h"

#include "base/clock.h"
#include "base/mem.h"
#include "control/calls.h"
#include "control/event_row.h"
#include "control/schema.h"
#include "control/work_tx.h"

#define EVENT_TEXT_MAX (48 * 1024 * 1024)

static void copy_id(char out[ID_MAX], struct span s)
{
	size_t n = s.len < ID_MAX - 1 ? s.len : ID_MAX - 1;
	memcpy(out, s.data, n);
	out[n] = '\0';
}

static bool take_row(void *arg, const struct store_row *row)
{
	struct session_tx *s = arg;
	s->num = store_int(row, 0);
	copy_id(s->environment, store_text(row, 1));
	copy_id(s->agent_id, store_text(row, 2));
	s->status = (enum session_status)store_int(row, 3);
	s->next_seq = store_int(row, 4);
	s->waiting = store_int(row, 5);
	copy_id(s->open_span, store_text(row, 6));
	s->up_to_seq = store_int(row, 7);
	for (int i = 0; i < 4; i++)
		s->usage[i] = store_int(row, 8 + i);
	s->running_since = store_int(row, 12);
	s->active_us = store_int(row, 13);
	s->archived = !store_null(row, 14);
	s->at_least_once = store_int(row, 15) != 0;
	return true;
}

struct result session_tx_load(struct session_tx *s, struct op *op, struct store_tx *tx, const char *id, struct err *e)
{
	memset(s, 0, sizeof(*s));
	s->op = op;
	s->tx = tx;
	s->now = clock_utc_us();
	copy_id(s->id, span_of(id));
	if (failed(store_query_one(tx, e, take_row, s,
	                           "SELECT s.num, s.environment, s.agent_id, s.status, s.next_seq, s.waiting, s.open_span,"
	                           " s.up_to_seq, s.input_tokens, s.output_tokens, s.cache_read, s.cache_creation,"
	                           " s.running_since, s.active_us, s.archived_at, v.at_least_once"
	                           " FROM sessions s JOIN environments v ON v.id = s.environment WHERE s.id = $1",
	                           "s", span_of(id)))) {
		if (e->kind == ERR_NOT_FOUND)
			err_set(e, ERR_NOT_FOUND, "there is no session %s", id);
		return FAIL;
	}
	copy_id(op->fx.session, span_of(s->id));
	return OK;
}

static struct result insert(struct session_tx *s, int64_t seq, const char *id, const char *type, bool processed,
                            struct span body, const json_t *kept, struct err *e)
{
	AUTO_FREE char *kept_text = kept == NULL ? NULL : json_text(kept, NULL);
	struct span k = span_of(kept_text);
	if (processed)
		return store_exec(s->tx, e,
		                  "INSERT INTO events(pos, id, type, processed_at, body, kept) VALUES ($1, $2, $3, $4, $5, $6)",
		                  "issisz", schema_pos(s->num, seq), span_of(id), span_of(type), s->now, body, k);
	return store_exec(s->tx, e,
	                  "INSERT INTO events(pos, id, type, processed_at, body, kept) VALUES ($1, $2, $3, NULL, $4, $5)",
	                  "isssz", schema_pos(s->num, seq), span_of(id), span_of(type), body, k);
}

// Tells the streams of an event, as it reads now.
static struct result show(struct session_tx *s, int64_t seq, const char *id, struct span type, struct span body, bool processed,
                          struct effects_event **out, struct err *e)
{
	struct buf text;
	buf_init(&text, EVENT_TEXT_MAX);
	if (!event_row_text(&text, body, processed ? s->now : 0)) {
		buf_fini(&text);
		return err_set(e, ERR_TOO_LARGE, "an event of more than %d bytes", EVENT_TEXT_MAX);
	}
	size_t len = 0;
	char *json = buf_take(&text, &len);
	*out = effects_event_add(&s->op->fx, seq, id, type, json, len);
	return OK;
}

struct result session_tx_append(struct session_tx *s, json_t *ev, const char *id, bool processed, char id_out[ID_MAX],
                                struct err *e)
{
	char made[ID_MAX];
	if (id == NULL) {
		id_make(made, EVENT_ID_PREFIX);
		id = made;
	}
	if (id_out != NULL && id_out != id)
		copy_id(id_out, span_of(id));
	if (s->next_seq > SCHEMA_SEQ_MAX)
		return err_set(e, ERR_TOO_LARGE, "session %s is full: start another", s->id);
	int64_t seq = s->next_seq++;
	const char *type = json_string_value(json_object_get(ev, "type"));
	size_t len = 0;
	AUTO_FREE char *body = event_row_body(ev, id, type, &len);
	TRY(insert(s, seq, id, type, processed, span_from(body, len), json_object_get(ev, "kept"), e));
	struct effects_event *shown;
	TRY(show(s, seq, id, span_of(type), span_from(body, len), processed, &shown, e));
	if (!processed)
		s->waiting++;
	return calls_open(s, ev, id, seq, shown, e);
}

struct result session_tx_append_plain(struct session_tx *s, const char *type, char id_out[ID_MAX], struct err *e)
{
	AUTO_JSON json_t *ev = json_pack("{s:s}", "type", type);
	return session_tx_append(s, ev, NULL, true, id_out, e);
}

struct waiting_event {
	int64_t pos;
	char id[ID_MAX];
	char *type, *body;
};

struct waiting_events {
	struct waiting_event *at;
	size_t n;
};

static bool take_waiting(void *arg, const struct store_row *row)
{
	struct waiting_events *w = arg;
	w->at = mem_grow(w->at, w->n + 1, sizeof(*w->at));
	struct waiting_event *ev = &w->at[w->n++];
	ev->pos = store_int(row, 0);
	copy_id(ev->id, store_text(row, 1));
	ev->type = span_dup(store_text(row, 2));
	ev->body = span_dup(store_text(row, 3));
	return true;
}

static struct result renumber(struct session_tx *s, const struct waiting_event *ev, struct err *e)
{
	int64_t seq = s->next_seq++;
	struct effects_event *shown;
	TRY(store_exec(s->tx, e, "UPDATE events SET pos = $1, processed_at = $2 WHERE pos = $3", "iii", schema_pos(s->num, seq),
	               s->now, ev->pos));
	return show(s, seq, ev->id, span_of(ev->type), span_of(ev->body), true, &shown, e);
}

struct result session_tx_take_waiting(struct session_tx *s, struct err *e)
{
	if (s->waiting == 0)
		return OK;
	struct waiting_events w = {NULL, 0};
	struct result r = store_query(s->tx, e, take_waiting, &w,
	                              "SELECT pos, id, type, body FROM events"
	                              " WHERE processed_at IS NULL AND pos BETWEEN $1 AND $2 ORDER BY pos",
	                              "ii", schema_pos(s->num, 0), schema_pos(s->num, SCHEMA_SEQ_MAX));
	for (size_t i = 0; i < w.n; i++) {
		if (!failed(r))
			r = renumber(s, &w.at[i], e);
		free(w.at[i].type);
		free(w.at[i].body);
	}
	free(w.at);
	s->waiting = 0;
	return r;
}

static const char *const usage_names[4] = {"input_tokens", "output_tokens", "cache_read_input_tokens",
                                           "cache_creation_input_tokens"};

struct result session_tx_end_span(struct session_tx *s, bool is_error, json_t *usage, struct err *e)
{
	AUTO_JSON json_t *numbers = json_object();
	for (int i = 0; i < 4; i++) {
		json_int_t n = json_integer_value(json_object_get(usage, usage_names[i]));
		if (n < 0 || n > INT32_MAX)
			n = 0;
		s->usage[i] += n;
		json_object_set_new(numbers, usage_names[i], json_integer(n));
	}
	AUTO_JSON json_t *ev = json_pack("{s:s, s:s, s:b, s:O}", "type", "span.model_request_end", "model_request_start_id",
	                                 s->open_span, "is_error", is_error, "model_usage", numbers);
	s->open_span[0] = '\0';
	s->usage_due = true;
	return session_tx_append(s, ev, NULL, true, NULL, e);
}

struct result session_tx_status(struct session_tx *s, enum session_status status, struct err *e)
{
	static const char *const types[] = {NULL, "session.status_running", "session.status_rescheduled",
	                                    "session.status_terminated"};
	if (s->status == status)
		return OK;
	if (s->status == SESSION_RUNNING && s->running_since != 0)
		s->active_us += s->now > s->running_since ? s->now - s->running_since : 0;
	s->running_since = status == SESSION_RUNNING ? s->now : 0;
	s->status = status;
	return types[status] == NULL ? OK : session_tx_append_plain(s, types[status], NULL, e);
}

static struct result append_usage(struct session_tx *s, struct err *e)
{
	s->usage_due = false;
	int64_t active = s->active_us + (s->running_since != 0 && s->now > s->running_since ? s->now - s->running_since : 0);
	int64_t active_ms = active / 1000;
	AUTO_JSON json_t *ev =
	        json_pack("{s:s, s:{s:f, s:{s:I, s:i}, s:I, s:I, s:I}}", "type", "session.usage", "usage", "active_seconds",
	                  (double)active_ms / 1e3, "cache_creation", "ephemeral_5m_input_tokens", (json_int_t)s->usage[3],
	                  "ephemeral_1h_input_tokens", 0, "cache_read_input_tokens", (json_int_t)s->usage[2], "input_tokens",
	                  (json_int_t)s->usage[0], "output_tokens", (json_int_t)s->usage[1]);
	return session_tx_append(s, ev, NULL, true, NULL, e);
}

struct result session_tx_idle(struct session_tx *s, json_t *stop_reason, json_t *stop_details, struct err *e)
{
	AUTO_JSON json_t *ev = json_pack("{s:s, s:o, s:o}", "type", "session.status_idle", "stop_reason", stop_reason,
	                                 "stop_details", stop_details == NULL ? json_null() : json_incref(stop_details));
	if (s->usage_due || s->status != SESSION_IDLE)
		TRY(append_usage(s, e));
	TRY(session_tx_status(s, SESSION_IDLE, e));
	return session_tx_append(s, ev, NULL, true, NULL, e);
}

static struct result settle(struct session_tx *s, struct err *e)
{
	json_t *ids = NULL;
	TRY(calls_open_ids(s, &ids, e));
	if (json_array_size(ids) > 0) {
		if (!s->calls_changed) {
			json_decref(ids);
			return OK;
		}
		return session_tx_idle(s, json_pack("{s:s, s:o}", "type", "requires_action", "event_ids", ids), NULL, e);
	}
	json_decref(ids);
	if (s->want == SESSION_TX_GIVE_UP)
		TRY(session_tx_take_waiting(s, e));
	if (s->want == SESSION_TX_GIVE_UP || (s->want == SESSION_TX_STOP && s->waiting == 0))
		return session_tx_idle(s, json_pack("{s:s}", "type", s->stop_reason), s->stop_details, e);
	s->op->fx.turn_due = s->open_span[0] == '\0';
	return session_tx_status(s, SESSION_RUNNING, e);
}

struct result session_tx_save(struct session_tx *s, struct err *e)
{
	bool alive = s->status != SESSION_TERMINATED;
	if (alive && s->want != SESSION_TX_KEEP)
		TRY(settle(s, e));
	TRY(store_exec(s->tx, e,
	               "UPDATE sessions SET status = $1, next_seq = $2, waiting = $3, open_span = $4, up_to_seq = $5,"
	               " input_tokens = $6, output_tokens = $7, cache_read = $8, cache_creation = $9, running_since = $10,"
	               " active_us = $11, updated_at = $12 WHERE num = $13",
	               "iiisiiiiiiiii", (int64_t)s->status, s->next_seq, s->waiting, span_of(s->open_span), s->up_to_seq,
	               s->usage[0], s->usage[1], s->usage[2], s->usage[3], s->running_since, s->active_us, s->now, s->num));
	bool needed = s->status == SESSION_RUNNING;
	if (alive && !needed)
		TRY(calls_need_worker(s, &needed, e));
	return alive && needed ? work_tx_ensure(s, e) : OK;
}

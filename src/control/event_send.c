#include "control/event_send.h"

#include "base/mem.h"
#include "control/event_params.h"
#include "control/event_row.h"
#include "control/schema.h"
#include "control/text.h"
#include "control/work_tx.h"

#define INTERRUPTED_TEXT "The user interrupted this call. Whether it ran, wholly or in part, is not known."
#define DENIED_TEXT "The user denied this call; it did not run."

static struct result has_open_calls(struct session_tx *s, bool *out, struct err *e)
{
	json_t *ids = NULL;
	TRY(calls_open_ids(s, &ids, e));
	*out = json_array_size(ids) > 0;
	json_decref(ids);
	return OK;
}

// What was appended first since `before` is the stored form of the event just sent.
static void keep_stored(struct session_tx *s, struct event_send *send, size_t before)
{
	const struct effects_event *ev = &s->op->fx.events[before];
	json_array_append_new(send->stored, json_stringn(ev->json, ev->len));
	json_array_append_new(send->ids, json_string(ev->id));
}

static struct result take_input(struct session_tx *s, json_t *ev, struct err *e)
{
	bool open = false;
	if (s->status == SESSION_IDLE)
		TRY(has_open_calls(s, &open, e));
	bool at_once = s->status == SESSION_IDLE && !open;
	if (at_once)
		s->want = SESSION_TX_SETTLE;
	return session_tx_append(s, ev, NULL, at_once, NULL, e);
}

static struct result interrupt(struct session_tx *s, json_t *ev, struct err *e)
{
	bool open = false;
	TRY(has_open_calls(s, &open, e));
	bool busy = open || s->status != SESSION_IDLE || s->want != SESSION_TX_KEEP;
	TRY(session_tx_append(s, ev, NULL, true, NULL, e));
	TRY(calls_close_all(s, INTERRUPTED_TEXT, e));
	if (s->open_span[0] != '\0')
		TRY(session_tx_end_span(s, true, NULL, e));
	s->op->fx.dropped = true;
	TRY(session_tx_idle(s, json_pack("{s:s}", "type", "end_turn"), NULL, e));
	s->want = s->waiting > 0 ? SESSION_TX_SETTLE : SESSION_TX_KEEP;
	s->calls_changed = false;
	return busy ? work_tx_ensure(s, e) : OK; // so that a worker that holds on to a call learns of it
}

static struct result confirm(struct session_tx *s, json_t *ev, const char *where, struct err *e)
{
	struct call c;
	TRY(calls_find(s, json_span(json_object_get(ev, "tool_use_id")), &c, e));
	if (!c.open || c.ask != CALL_ASKED)
		return err_set(e, ERR_INVALID, "%s.tool_use_id: %s does not wait for a confirmation", where, c.id);
	bool allow = span_is(json_span(json_object_get(ev, "result")), "allow");
	TRY(session_tx_append(s, ev, NULL, true, NULL, e));
	TRY(calls_set_ask(s, c.id, allow ? CALL_ALLOWED : CALL_DENIED, e));
	if (allow)
		return OK;
	struct span said = json_span(json_object_get(ev, "deny_message"));
	AUTO_FREE char *text = said.len == 0 ? mem_strdup(DENIED_TEXT)
	                                     : mem_printf("The user denied this call; it did not run: %.*s", SPAN_FMT(said));
	return calls_close_without_worker(s, &c, text, e);
}

struct stored {
	struct buf text;
	bool full;
};

static bool take_stored(void *arg, const struct store_row *row)
{
	struct stored *st = arg;
	st->full = !event_row_text(&st->text, store_text(row, 0), store_int(row, 1));
	return false;
}

// The same result again: the answer that the first one got.
static struct result repeat(struct session_tx *s, struct event_send *send, const char *id, struct err *e)
{
	struct stored st = {.full = false};
	buf_init(&st.text, 64 * 1024 * 1024);
	struct result r = store_query_one(s->tx, e, take_stored, &st,
	                                  "SELECT body, processed_at FROM events WHERE pos BETWEEN $1 AND $2 AND id = $3",
	                                  "iis", schema_pos(s->num, 0), schema_pos(s->num, SCHEMA_SEQ_MAX), span_of(id));
	if (!failed(r)) {
		struct span text = buf_span(&st.text);
		json_array_append_new(send->stored, json_stringn(text.data, text.len));
		json_array_append_new(send->ids, json_string(id));
	}
	buf_fini(&st.text);
	return r;
}

static struct result check_answerable(const struct call *c, const struct event_send *send, bool custom, bool at_least_once,
                                      const char *where, struct err *e)
{
	if (c->kind == CALL_SERVER || custom != (c->kind == CALL_CUSTOM))
		return err_set(e, ERR_INVALID, "%s: %s is answered by %s", where, c->id,
		               c->kind == CALL_CUSTOM   ? "user.custom_tool_result"
		               : c->kind == CALL_WORKER ? "user.tool_result"
		                                        : "the server");
	if (c->open && c->ask == CALL_ASKED)
		return err_set(e, ERR_INVALID, "%s: %s waits for a confirmation and can't have run", where, c->id);
	if (!c->open || send->who.kind != AUTH_TOKEN || c->epoch[0] == '\0' || at_least_once)
		return OK;
	char mine[EPOCH_MAX];
	work_epoch(mine, send->who.id, send->who.epoch);
	return strcmp(mine, c->epoch) == 0
	               ? OK
	               : err_set(e, ERR_INVALID, "%s: %s was handed to another lease: its outcome is not this worker's to tell",
	                         where, c->id);
}

static struct result answer_call(struct session_tx *s, struct event_send *send, json_t *ev, bool custom, const char *where,
                                 bool *repeated, struct err *e)
{
	struct call c;
	TRY(calls_find(s, json_span(json_object_get(ev, custom ? "custom_tool_use_id" : "tool_use_id")), &c, e));
	TRY(check_answerable(&c, send, custom, s->at_least_once, where, e));
	size_t len = 0;
	AUTO_FREE char *text = json_text(ev, &len);
	uint8_t hash[AUTH_HASH_LEN];
	auth_hash(span_from(text, len), hash);
	if (!c.open) {
		if (!c.has_answer_hash || memcmp(hash, c.answer_hash, sizeof(hash)) != 0)
			return err_set(e, ERR_INVALID, "%s: %s is answered already", where, c.id);
		*repeated = true;
		return repeat(s, send, c.answer_id, e);
	}
	char answer_id[ID_MAX];
	TRY(session_tx_append(s, ev, NULL, true, answer_id, e));
	return calls_close(s, c.id, answer_id, hash, e);
}

static struct result apply(struct session_tx *s, struct event_send *send, json_t *ev, const char *where, struct err *e)
{
	enum event_kind kind = EVENT_MESSAGE;
	size_t before = s->op->fx.n_events;
	bool repeated = false;
	TRY(event_params_check(ev, where, &kind, e));
	bool worker = send->who.kind == AUTH_TOKEN || send->who.kind == AUTH_ENVIRONMENT;
	if (worker && kind != EVENT_RESULT && kind != EVENT_CUSTOM_RESULT)
		return err_set(e, ERR_DENIED, "%s: a worker's credential may send tool results only", where);
	switch (kind) {
	case EVENT_MESSAGE:
	case EVENT_SYSTEM:
		TRY(take_input(s, ev, e));
		break;
	case EVENT_INTERRUPT:
		TRY(interrupt(s, ev, e));
		break;
	case EVENT_CONFIRMATION:
		TRY(confirm(s, ev, where, e));
		break;
	case EVENT_RESULT:
	case EVENT_CUSTOM_RESULT:
		TRY(answer_call(s, send, ev, kind == EVENT_CUSTOM_RESULT, where, &repeated, e));
		break;
	}
	if (!repeated)
		keep_stored(s, send, before);
	return OK;
}

struct result event_send_apply(struct session_tx *s, struct event_send *send, struct err *e)
{
	size_t i;
	json_t *ev;
	if (s->status == SESSION_TERMINATED)
		return err_set(e, ERR_INVALID, "session %s is archived and takes no more events", s->id);
	json_array_foreach (send->events, i, ev) {
		char where[TEXT_WHERE_MAX];
		text_where(where, "events[%zu]", i);
		TRY(apply(s, send, ev, where, e));
	}
	return OK;
}

#include "control/events.h"

#include "base/mem.h"
#include "control/event_params.h"
#include "control/event_row.h"
#include "control/event_send.h"
#include "control/schema.h"
#include "control/stream.h"

struct sending {
	struct event_send send;
	uint8_t hash[AUTH_HASH_LEN];
	bool counted; // it comes from an SDK that numbers its attempts: a repetition of it may come
	bool again;   // it says that it is one
};

struct result events_allowed(const struct credential *who, const char *session, const char *environment, struct err *e)
{
	bool ok =
	        who->kind == AUTH_API || (who->kind == AUTH_TOKEN && strcmp(who->session, session) == 0) ||
	        (who->kind == AUTH_ENVIRONMENT && (who->environment[0] == '\0' || strcmp(who->environment, environment) == 0));
	return ok ? OK : err_set(e, ERR_DENIED, "this credential is not for session %s", session);
}

static bool copy_text(void *arg, const struct store_row *row)
{
	*(char **)arg = span_dup(store_text(row, 0));
	return false;
}

static bool take_text(void *arg, const struct store_row *row)
{
	return event_row_text(arg, store_text(row, 0), store_int(row, 1));
}

// The same body within a minute, said to be a repetition: its answer again, and nothing else.
static struct result find_repeated(struct session_tx *s, struct sending *sd, bool *found, struct err *e)
{
	AUTO_FREE char *ids = NULL;
	AUTO_JSON json_t *list = NULL;
	TRY(store_query(s->tx, e, copy_text, &ids, "SELECT ids FROM posts WHERE session = $1 AND hash = $2 AND at >= $3", "ibi",
	                s->num, span_from((const char *)sd->hash, AUTH_HASH_LEN), s->now - EVENTS_REPEAT_US));
	*found = ids != NULL;
	if (ids == NULL)
		return OK;
	TRY(json_parse(span_of(ids), "stored ids", &list, e));
	size_t i;
	json_t *id;
	json_array_foreach (list, i, id) {
		AUTO_BUF struct buf text;
		buf_init(&text, 64 * 1024 * 1024);
		TRY(store_query_one(s->tx, e, take_text, &text,
		                    "SELECT body, processed_at FROM events WHERE pos BETWEEN $1 AND $2 AND id = $3", "iis",
		                    schema_pos(s->num, 0), schema_pos(s->num, SCHEMA_SEQ_MAX), json_span(id)));
		struct span t = buf_span(&text);
		json_array_append_new(sd->send.stored, json_stringn(t.data, t.len));
	}
	return OK;
}

static struct result remember(struct session_tx *s, const struct sending *sd, struct err *e)
{
	AUTO_FREE char *ids = json_text(sd->send.ids, NULL);
	TRY(store_exec(s->tx, e, "DELETE FROM posts WHERE at < $1", "i", s->now - EVENTS_REPEAT_US));
	return store_exec(s->tx, e,
	                  "INSERT INTO posts(session, hash, at, ids) VALUES ($1, $2, $3, $4)"
	                  " ON CONFLICT(session, hash) DO UPDATE SET at = excluded.at, ids = excluded.ids",
	                  "ibis", s->num, span_from((const char *)sd->hash, AUTH_HASH_LEN), s->now, span_of(ids));
}

static struct result answer_stored(struct op *op, json_t *stored, struct err *e)
{
	size_t i;
	json_t *text;
	bool ok = buf_add_str(&op->answer, "{\"data\":[");
	json_array_foreach (stored, i, text)
		ok = ok && (i == 0 || buf_add_str(&op->answer, ",")) && buf_add(&op->answer, json_span(text));
	ok = ok && buf_add_str(&op->answer, "]}");
	return ok ? OK : err_set(e, ERR_TOO_LARGE, "the answer is too large");
}

static struct result run_send(struct op *op, struct store_tx *tx, struct err *e)
{
	struct sending *sd = op->arg;
	struct session_tx s;
	bool repeated = false;
	TRY(session_tx_load(&s, op, tx, op->r->segments[2], e));
	TRY(events_allowed(&sd->send.who, s.id, s.environment, e));
	if (sd->again)
		TRY(find_repeated(&s, sd, &repeated, e));
	if (!repeated) {
		TRY(event_send_apply(&s, &sd->send, e));
		TRY(session_tx_save(&s, e));
		if (sd->counted)
			TRY(remember(&s, sd, e));
	}
	return answer_stored(op, sd->send.stored, e);
}

static void release_sending(void *arg)
{
	struct sending *sd = arg;
	json_decref(sd->send.stored);
	json_decref(sd->send.ids);
	free(sd);
}

void events_send(struct request *r)
{
	static const char *const names[] = {"events", NULL};
	struct err e;
	json_t *events = NULL;
	if (failed(request_parse_body(r, false, &e)) || failed(event_params_only(r->body, "", names, &e)) ||
	    failed(event_params_check_all(r->body, "events", EVENT_PARAMS_MAX, &events, &e))) {
		request_refuse(r, &e, NULL);
		return;
	}
	struct sending *sd = NEW(struct sending);
	sd->send = (struct event_send){events, r->who, json_array(), json_array()};
	AUTO_FREE char *count = request_header(r, "x-stainless-retry-count", 8);
	sd->counted = count != NULL;
	sd->again = count != NULL && strcmp(count, "0") != 0;
	struct span body = http_exchange_body(r->x);
	auth_hash(body, sd->hash);
	struct op *op = op_new(r->c, r, run_send);
	op->arg = sd;
	op->release = release_sending;
	struct record_note *n = op_note(op, AUDIT_ADMIN, "event.accept", r->segments[2],
	                                json_string_value(json_object_get(json_array_get(events, 0), "type")));
	record_note_set(&n->arguments, body);
	op_submit(op);
}

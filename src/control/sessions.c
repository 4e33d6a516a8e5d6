#include "control/sessions.h"

#include "base/clock.h"
#include "base/mem.h"
#include "control/agent_spec.h"
#include "control/calls.h"
#include "control/event_params.h"
#include "control/events.h"
#include "control/metadata.h"
#include "control/schema.h"
#include "control/session_text.h"
#include "control/text.h"
#include "control/work_tx.h"

struct writing {
	struct buf *out;
	int64_t now;
	bool full;
	bool (*put)(struct buf *out, const struct store_row *row, int64_t now);
};

static bool write_one(void *arg, const struct store_row *row)
{
	struct writing *w = arg;
	w->full = !w->put(w->out, row, w->now);
	return false;
}

static struct result write_session(struct op *op, struct store_tx *tx, const char *id,
                                   bool (*put)(struct buf *out, const struct store_row *row, int64_t now), struct err *e)
{
	struct writing w = {&op->answer, clock_utc_us(), false, put};
	struct result r = store_query_one(tx, e, write_one, &w,
	                                  "SELECT " SESSION_TEXT_COLUMNS " FROM sessions s WHERE s.id = $1", "s", span_of(id));
	if (failed(r))
		return e->kind == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no session %.64s", id) : r;
	return w.full ? err_set(e, ERR_TOO_LARGE, "the answer is too large") : OK;
}

struct result sessions_answer(struct op *op, struct store_tx *tx, const char *id, struct err *e)
{
	return write_session(op, tx, id, session_text_put, e);
}

static bool take_environment(void *arg, const struct store_row *row)
{
	struct span s = store_text(row, 0);
	memcpy(arg, s.data, s.len < ID_MAX - 1 ? s.len : ID_MAX - 1);
	return true;
}

static struct result get(struct op *op, struct store_tx *tx, struct err *e)
{
	const char *id = op->r->segments[2];
	char environment[ID_MAX] = "";
	TRY(store_query(tx, e, take_environment, environment, "SELECT environment FROM sessions WHERE id = $1", "s",
	                span_of(id)));
	if (environment[0] != '\0')
		TRY(events_allowed(&op->r->who, id, environment, e));
	return sessions_answer(op, tx, id, e);
}

void sessions_get(struct request *r)
{
	op_read(op_new(r->c, r, get));
}

// --- update

static bool take_text(void *arg, const struct store_row *row)
{
	*(char **)arg = span_dup(store_text(row, 0));
	return false;
}

// A JSON object that the session's row holds, as a new value.
static struct result load_object(struct session_tx *s, const char *sql, json_t **out, struct err *e)
{
	AUTO_FREE char *text = NULL;
	TRY(store_query_one(s->tx, e, take_text, &text, sql, "i", s->num));
	return json_parse_object(span_of(text), "a stored session", out, e);
}

// What an update has changed: session.updated tells of nothing else.
struct changes {
	json_t *event;
	bool any;
};

static struct result update_agent(struct session_tx *s, const json_t *given, struct changes *changed, struct err *e)
{
	static const char *const members[] = {"tools", "mcp_servers", NULL};
	AUTO_JSON json_t *agent = NULL;
	if (s->status == SESSION_RUNNING || s->status == SESSION_RESCHEDULING)
		return err_set(e, ERR_INVALID, "agent: session %s is running", s->id);
	TRY(load_object(s, "SELECT agent FROM sessions WHERE num = $1", &agent, e));
	TRY(agent_spec_apply(agent, given, members, e));
	if (json_array_size(json_object_get(agent, "mcp_servers")) > 0)
		return err_set(e, ERR_INVALID, "agent.mcp_servers: this control plane does not call MCP servers yet");
	AUTO_JSON json_t *old = NULL;
	TRY(load_object(s, "SELECT agent FROM sessions WHERE num = $1", &old, e));
	if (json_equal(old, agent))
		return OK;
	AUTO_FREE char *text = json_text(agent, NULL);
	changed->any = true;
	json_object_set(changed->event, "agent", agent);
	return store_exec(s->tx, e, "UPDATE sessions SET agent = $1 WHERE num = $2", "si", span_of(text), s->num);
}

static struct result update_metadata(struct session_tx *s, const json_t *body, struct changes *changed, struct err *e)
{
	AUTO_JSON json_t *old = NULL, *metadata = NULL;
	json_t *given = json_object_get(body, "metadata");
	if (given == NULL || json_is_null(given))
		return OK;
	TRY(load_object(s, "SELECT metadata FROM sessions WHERE num = $1", &old, e));
	TRY(metadata_take(body, old, false, &metadata, e));
	if (json_equal(old, metadata))
		return OK;
	AUTO_FREE char *text = json_text(metadata, NULL);
	changed->any = true;
	if (json_object_size(metadata) > 0)
		json_object_set(changed->event, "metadata", metadata);
	return store_exec(s->tx, e, "UPDATE sessions SET metadata = $1 WHERE num = $2", "si", span_of(text), s->num);
}

static struct result update_title(struct session_tx *s, const json_t *body, struct changes *changed, struct err *e)
{
	json_t *title = json_object_get(body, "title");
	AUTO_FREE char *old = NULL, *json = NULL;
	if (title == NULL)
		return OK;
	TRY(session_create_title(body, &json, e));
	TRY(store_query_one(s->tx, e, take_text, &old, "SELECT coalesce(title, '') FROM sessions WHERE num = $1", "i", s->num));
	if (strcmp(old, json == NULL ? "" : json) == 0)
		return OK;
	changed->any = true;
	json_object_set(changed->event, "title", title);
	return store_exec(s->tx, e, "UPDATE sessions SET title = $1 WHERE num = $2", "zi", span_of(json), s->num);
}

static struct result update(struct op *op, struct store_tx *tx, struct err *e)
{
	const json_t *body = op->r->body;
	struct session_tx s;
	json_t *agent = NULL;
	TRY(session_tx_load(&s, op, tx, op->r->segments[2], e));
	if (s.archived)
		return err_set(e, ERR_INVALID, "session %s is archived", s.id);
	AUTO_JSON json_t *event = json_pack("{s:s}", "type", "session.updated");
	struct changes changed = {event, false};
	TRY(json_opt_object(body, "", "agent", &agent, e));
	if (agent != NULL)
		TRY(update_agent(&s, agent, &changed, e));
	TRY(update_metadata(&s, body, &changed, e));
	TRY(update_title(&s, body, &changed, e));
	if (changed.any)
		TRY(session_tx_append(&s, event, NULL, true, NULL, e));
	TRY(session_tx_save(&s, e));
	return sessions_answer(op, tx, s.id, e);
}

void sessions_update(struct request *r)
{
	static const char *const members[] = {"title", "metadata", "agent", "budget", NULL};
	struct err e;
	struct op *op = op_new(r->c, r, update);
	struct result res = request_parse_body(r, true, &e);
	if (!failed(res))
		res = event_params_only(r->body, "", members, &e);
	if (!failed(res) && json_object_get(r->body, "budget") != NULL && !json_is_null(json_object_get(r->body, "budget")))
		res = err_set(&e, ERR_INVALID, "budget: this control plane knows no prices, so it can't keep one");
	if (failed(res)) {
		op_refuse(op, &e);
		return;
	}
	op_note(op, AUDIT_ADMIN, "session.update", r->segments[2], r->segments[2]);
	op_submit(op);
}

// --- archive and delete

static struct result refuse_running(const struct session_tx *s, struct err *e)
{
	if (s->status != SESSION_RUNNING && s->status != SESSION_RESCHEDULING)
		return OK;
	return err_set(e, ERR_INVALID, "session %s is running: send user.interrupt first", s->id);
}

static struct result archive(struct op *op, struct store_tx *tx, struct err *e)
{
	struct session_tx s;
	TRY(session_tx_load(&s, op, tx, op->r->segments[2], e));
	if (!s.archived) {
		TRY(refuse_running(&s, e));
		TRY(calls_close_all(&s, "The session was archived before this call was answered.", e));
		TRY(session_tx_status(&s, SESSION_TERMINATED, e));
		TRY(session_tx_save(&s, e));
		TRY(store_exec(tx, e, "UPDATE sessions SET archived_at = $1 WHERE num = $2", "ii", s.now, s.num));
		TRY(work_tx_stop_session(op, tx, s.num, s.now, e));
		op->fx.dropped = true;
	}
	return sessions_answer(op, tx, s.id, e);
}

void sessions_archive(struct request *r)
{
	struct op *op = op_new(r->c, r, archive);
	op_note(op, AUDIT_ADMIN, "session.archive", r->segments[2], r->segments[2]);
	op_submit(op);
}

static struct result delete (struct op *op, struct store_tx *tx, struct err *e)
{
	struct session_tx s;
	TRY(session_tx_load(&s, op, tx, op->r->segments[2], e));
	TRY(refuse_running(&s, e));
	TRY(session_tx_append_plain(&s, "session.deleted", NULL, e)); // for the streams; it goes with the rest
	TRY(work_tx_stop_session(op, tx, s.num, s.now, e));
	TRY(store_exec(tx, e, "DELETE FROM events WHERE pos BETWEEN $1 AND $2", "ii", schema_pos(s.num, 0),
	               schema_pos(s.num, SCHEMA_SEQ_MAX)));
	TRY(store_exec(tx, e, "DELETE FROM calls WHERE session = $1", "i", s.num));
	TRY(store_exec(tx, e, "DELETE FROM posts WHERE session = $1", "i", s.num));
	TRY(store_exec(tx, e, "DELETE FROM sessions WHERE num = $1", "i", s.num));
	op->fx.deleted = true;
	return buf_printf(&op->answer, "{\"id\":\"%s\",\"type\":\"session_deleted\"}", s.id) ? OK : FAIL;
}

void sessions_delete(struct request *r)
{
	struct op *op = op_new(r->c, r, delete);
	op_note(op, AUDIT_ADMIN, "session.delete", r->segments[2], r->segments[2]);
	op_submit(op);
}

// --- the primary thread

static struct result thread(struct op *op, struct store_tx *tx, struct err *e)
{
	const char *id = op->r->segments[2];
	if (!session_text_is_thread(id, op->r->segments[4]))
		return err_set(e, ERR_NOT_FOUND, "session %.64s has no thread %.64s", id, op->r->segments[4]);
	return write_session(op, tx, id, session_text_thread, e);
}

void sessions_thread(struct request *r)
{
	op_read(op_new(r->c, r, thread));
}

void sessions_thread_archive(struct request *r)
{
	request_refuse_kind(r, ERR_INVALID, "a session's primary thread is archived with the session: archive that");
}

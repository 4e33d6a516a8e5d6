#include "control/calls.h"

#include "base/mem.h"
#include "control/work_tx.h"

static bool type_is(const json_t *ev, const char *type)
{
	const char *t = json_string_value(json_object_get(ev, "type"));
	return t != NULL && strcmp(t, type) == 0;
}

static bool string_is(const json_t *ev, const char *name, const char *value)
{
	return span_is(json_span(json_object_get(ev, name)), value);
}

static bool kind_of(const json_t *ev, enum call_kind *kind)
{
	if (type_is(ev, "agent.tool_use"))
		*kind = string_is(ev, "name", "web_fetch") || string_is(ev, "name", "web_search") ? CALL_SERVER : CALL_WORKER;
	else if (type_is(ev, "agent.custom_tool_use"))
		*kind = CALL_CUSTOM;
	else if (type_is(ev, "agent.mcp_tool_use"))
		*kind = CALL_SERVER;
	else
		return false;
	return true;
}

static void note_exposed(struct op *op, const char *session, const char *id, const char *epoch)
{
	struct record_note *n = op_note(op, AUDIT_ADMIN, "call.expose", session, id);
	free(n->uid);
	n->uid = mem_printf("%s.exposed.%s", id, epoch);
}

struct result calls_open(struct session_tx *s, const json_t *ev, const char *id, int64_t seq, struct effects_event *shown,
                         struct err *e)
{
	enum call_kind kind;
	if (!kind_of(ev, &kind))
		return OK;
	bool ask = string_is(ev, "evaluated_permission", "ask");
	char epoch[EPOCH_MAX] = "";
	if (kind != CALL_SERVER) {
		shown->for_worker = true;
		if (s->worker_epoch != NULL)
			TRY(work_tx_live_epoch(s->tx, s->num, epoch, e));
		if (s->worker_epoch != NULL && strcmp(s->worker_epoch, "*") != 0 && strcmp(s->worker_epoch, epoch) != 0)
			epoch[0] = '\0'; // the stream's lease is not the live one any more
		memcpy(shown->exposed, epoch, sizeof(epoch));
		if (epoch[0] != '\0')
			note_exposed(s->op, s->id, id, epoch);
	}
	s->calls_changed = true;
	struct span exposed = epoch[0] == '\0' ? (struct span){NULL, 0} : span_of(epoch);
	return store_exec(s->tx, e,
	                  "INSERT INTO calls(session, id, seq, kind, ask, open, epoch) VALUES ($1, $2, $3, $4, $5, $6, $7)",
	                  "isiiiiz", s->num, span_of(id), seq, (int64_t)kind, (int64_t)(ask ? CALL_ASKED : CALL_NOT_ASKED),
	                  (int64_t)(kind != CALL_SERVER || ask), exposed);
}

static void copy_text(char *out, size_t size, struct span s)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;
	memcpy(out, s.data == NULL ? "" : s.data, n);
	out[n] = '\0';
}

static bool take_call(void *arg, const struct store_row *row)
{
	struct call *c = arg;
	copy_text(c->id, sizeof(c->id), store_text(row, 0));
	c->kind = (enum call_kind)store_int(row, 1);
	c->ask = (enum call_ask)store_int(row, 2);
	c->open = store_int(row, 3) != 0;
	copy_text(c->epoch, sizeof(c->epoch), store_text(row, 4));
	struct span hash = store_text(row, 5);
	c->has_answer_hash = hash.len == AUTH_HASH_LEN;
	if (c->has_answer_hash)
		memcpy(c->answer_hash, hash.data, AUTH_HASH_LEN);
	copy_text(c->answer_id, sizeof(c->answer_id), store_text(row, 6));
	return true;
}

struct result calls_find(struct session_tx *s, struct span id, struct call *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	struct result r = store_query_one(s->tx, e, take_call, out,
	                                  "SELECT id, kind, ask, open, epoch, answer_hash, answer_id FROM calls"
	                                  " WHERE session = $1 AND id = $2",
	                                  "is", s->num, id);
	if (failed(r) && e->kind == ERR_NOT_FOUND)
		return err_set(e, ERR_INVALID, "session %s has no tool use %.*s", s->id, (int)(id.len < 64 ? id.len : 64),
		               id.data);
	return r;
}

struct result calls_close(struct session_tx *s, const char *id, const char *answer_id, const uint8_t *hash, struct err *e)
{
	s->calls_changed = true;
	if (s->want == SESSION_TX_KEEP)
		s->want = SESSION_TX_SETTLE;
	struct record_note *n = op_note(s->op, AUDIT_ADMIN, "call.close", s->id, id);
	free(n->uid);
	n->uid = mem_printf("%s.closed", id);
	n->failed = hash == NULL;
	struct span h = hash == NULL ? (struct span){NULL, 0} : span_from((const char *)hash, AUTH_HASH_LEN);
	if (hash == NULL)
		return store_exec(s->tx, e,
		                  "UPDATE calls SET open = 0, hold_until = NULL, answer_id = $1 WHERE session = $2 AND id = $3",
		                  "sis", span_of(answer_id), s->num, span_of(id));
	return store_exec(s->tx, e,
	                  "UPDATE calls SET open = 0, hold_until = NULL, answer_id = $1, answer_hash = $4"
	                  " WHERE session = $2 AND id = $3",
	                  "sisb", span_of(answer_id), s->num, span_of(id), h);
}

struct result calls_set_ask(struct session_tx *s, const char *id, enum call_ask ask, struct err *e)
{
	return store_exec(s->tx, e, "UPDATE calls SET ask = $1 WHERE session = $2 AND id = $3", "iis", (int64_t)ask, s->num,
	                  span_of(id));
}

static bool take_id(void *arg, const struct store_row *row)
{
	struct span id = store_text(row, 0);
	json_array_append_new(arg, json_stringn(id.data, id.len));
	return true;
}

struct result calls_open_ids(struct session_tx *s, json_t **out, struct err *e)
{
	json_t *ids = json_array();
	if (failed(store_query(s->tx, e, take_id, ids, "SELECT id FROM calls WHERE session = $1 AND open = 1 ORDER BY seq", "i",
	                       s->num))) {
		json_decref(ids);
		return FAIL;
	}
	*out = ids;
	return OK;
}

static bool see_row(void *arg, const struct store_row *row)
{
	(void)row;
	*(bool *)arg = true;
	return false;
}

struct result calls_need_worker(struct session_tx *s, bool *out, struct err *e)
{
	*out = false;
	return store_query(s->tx, e, see_row, out,
	                   "SELECT 1 FROM calls WHERE session = $1 AND open = 1 AND kind = 0 AND ask <> 1 LIMIT 1", "i",
	                   s->num);
}

struct result calls_close_without_worker(struct session_tx *s, const struct call *c, const char *text, struct err *e)
{
	bool custom = c->kind == CALL_CUSTOM;
	char answer_id[ID_MAX];
	AUTO_JSON json_t *ev = json_pack(
	        "{s:s, s:s, s:b, s:[{s:s, s:s}]}", "type", custom ? "user.custom_tool_result" : "user.tool_result",
	        custom ? "custom_tool_use_id" : "tool_use_id", c->id, "is_error", 1, "content", "type", "text", "text", text);
	TRY(session_tx_append(s, ev, NULL, true, answer_id, e));
	return calls_close(s, c->id, answer_id, NULL, e);
}

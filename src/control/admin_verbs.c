#include "control/admin_verbs.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/keys.h"
#include "control/stream.h"
#include "control/work_queue.h"
#include "control/work_tx.h"

#define PS_MAX 1000 // of each kind

struct asking {
	struct admin_request *a;
	json_t *agents, *sessions, *environments, *work;
};

static void release(void *arg)
{
	struct asking *k = arg;
	json_decref(k->agents);
	json_decref(k->sessions);
	json_decref(k->environments);
	json_decref(k->work);
	free(k);
}

static json_t *time_json(const struct store_row *row, int column)
{
	char at[CLOCK_RFC3339_LEN];
	if (store_null(row, column) || store_int(row, column) == 0)
		return json_null();
	clock_format(store_int(row, column), at);
	return json_string(at);
}

static json_t *text_json(const struct store_row *row, int column)
{
	struct span s = store_text(row, column);
	return s.data == NULL ? json_null() : json_stringn(s.data, s.len);
}

static bool take_agent(void *arg, const struct store_row *row)
{
	AUTO_JSON json_t *body = NULL;
	if (failed(json_parse_object(store_text(row, 2), "agent", &body, NULL)))
		return true;
	const json_t *model = json_object_get(body, "model");
	json_array_append_new(arg, json_pack("{s:o, s:I, s:O*, s:O*, s:I}", "id", text_json(row, 0), "version",
	                                     (json_int_t)store_int(row, 1), "name", json_object_get(body, "name"), "model",
	                                     json_object_get(model, "id"), "sessions", (json_int_t)store_int(row, 3)));
	return true;
}

static bool take_session(void *arg, const struct store_row *row)
{
	static const char *const statuses[] = {"idle", "running", "rescheduling", "terminated"};
	json_t *title = NULL;
	struct span text = store_text(row, 4);
	if (text.data == NULL || failed(json_parse(text, "title", &title, NULL)))
		title = json_null();
	json_array_append_new(arg, json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:o}", "id", text_json(row, 0), "status",
	                                     statuses[store_int(row, 1) & 3], "agent", text_json(row, 2), "environment",
	                                     text_json(row, 3), "title", title, "created_at", time_json(row, 5), "open_calls",
	                                     (json_int_t)store_int(row, 6), "updated_at", time_json(row, 7)));
	return true;
}

static bool take_environment(void *arg, const struct store_row *row)
{
	json_array_append_new(arg, json_pack("{s:o, s:o, s:o, s:s, s:I, s:I}", "id", text_json(row, 0), "name",
	                                     text_json(row, 1), "type", text_json(row, 2), "calls",
	                                     store_int(row, 3) ? "at-least-once" : "at-most-once", "queued",
	                                     (json_int_t)store_int(row, 4), "active", (json_int_t)store_int(row, 5)));
	return true;
}

static bool take_work(void *arg, const struct store_row *row)
{
	json_array_append_new(arg, json_pack("{s:o, s:o, s:o, s:s, s:o, s:o}", "id", text_json(row, 0), "environment",
	                                     text_json(row, 1), "session", text_json(row, 2), "state",
	                                     work_state_name((enum work_state)(store_int(row, 3) % 5)), "worker",
	                                     text_json(row, 4), "latest_heartbeat_at", time_json(row, 5)));
	return true;
}

static struct result look(struct op *op, struct store_tx *tx, struct err *e)
{
	struct asking *k = op->arg;
	TRY(store_query(tx, e, take_agent, k->agents,
	                "SELECT a.id, a.version, v.body || '}'," // kept without its closing brace (agents.c)
	                " (SELECT count(*) FROM sessions s WHERE s.agent_id = a.id AND s.archived_at IS NULL)"
	                " FROM agents a JOIN agent_versions v ON v.agent = a.id AND v.version = a.version"
	                " WHERE a.archived_at IS NULL ORDER BY a.created_at DESC LIMIT $1",
	                "i", (int64_t)PS_MAX));
	TRY(store_query(tx, e, take_session, k->sessions,
	                "SELECT s.id, s.status, s.agent_id, s.environment, s.title, s.created_at,"
	                " (SELECT count(*) FROM calls c WHERE c.session = s.num AND c.open = 1), s.updated_at"
	                " FROM sessions s WHERE s.archived_at IS NULL ORDER BY s.num DESC LIMIT $1",
	                "i", (int64_t)PS_MAX));
	TRY(store_query(tx, e, take_environment, k->environments,
	                "SELECT v.id, v.name, v.type, v.at_least_once,"
	                " (SELECT count(*) FROM work w WHERE w.environment = v.id AND w.state = 0),"
	                " (SELECT count(*) FROM work w WHERE w.environment = v.id AND w.state IN (1, 2, 3))"
	                " FROM environments v WHERE v.archived_at IS NULL ORDER BY v.created_at LIMIT $1",
	                "i", (int64_t)PS_MAX));
	return store_query(tx, e, take_work, k->work,
	                   "SELECT id, environment, session_id, state, worker, heartbeat_at FROM work WHERE state < 4"
	                   " ORDER BY num LIMIT $1",
	                   "i", (int64_t)PS_MAX);
}

static void tell(struct op *op)
{
	struct asking *k = op->arg;
	size_t i;
	json_t *environment;
	json_array_foreach (k->environments, i, environment) {
		const char *id = json_string_value(json_object_get(environment, "id"));
		json_object_set_new(environment, "workers", json_integer((json_int_t)work_queue_workers(op->c->queue, id)));
	}
	admin_answer(k->a, json_pack("{s:b, s:s, s:i, s:s, s:O, s:O, s:O, s:O, s:I}", "ok", 1, "role", "control", "pid",
	                             (int)getpid(), "address", http_server_address(op->c->server), "agents", k->agents,
	                             "sessions", k->sessions, "environments", k->environments, "work", k->work, "streams",
	                             (json_int_t)stream_hub_count(op->c->hub)));
}

static void look_failed(struct op *op, const struct err *e)
{
	struct asking *k = op->arg;
	admin_refuse(k->a, "%s", e->msg);
}

static void ps(struct control *c, struct admin_request *r)
{
	struct op *op = op_new(c, NULL, look);
	struct asking *k = NEW(struct asking);
	k->a = r;
	k->agents = json_array();
	k->sessions = json_array();
	k->environments = json_array();
	k->work = json_array();
	op->arg = k;
	op->release = release;
	op->published = tell;
	op->refused = look_failed;
	op_read(op);
}

static void ready(struct control *c, struct admin_request *r)
{
	struct err e;
	bool recorder = !failed(record_check(c->record, &e));
	admin_answer(r, json_pack("{s:b, s:s, s:i, s:s, s:b}", "ok", 1, "role", "control", "pid", (int)getpid(), "address",
	                          http_server_address(c->server), "recorder", recorder));
}

void admin_verbs_handle(void *arg, struct admin_request *r, struct span verb, const json_t *request)
{
	struct control *c = arg;
	if (!c->serving)
		admin_refuse(r, "control is starting");
	else if (span_is(verb, "ready"))
		ready(c, r);
	else if (span_is(verb, "ps"))
		ps(c, r);
	else if (span_is(verb, "environment-key-create"))
		keys_admin_create(c, r, request);
	else if (span_is(verb, "environment-key-list"))
		keys_admin_list(c, r, request);
	else if (span_is(verb, "environment-key-revoke"))
		keys_admin_revoke(c, r, request);
	else
		admin_refuse(
		        r,
		        "control answers ready, ps, environment-key-create, environment-key-list and environment-key-revoke");
}

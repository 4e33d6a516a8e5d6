// How a session comes to be.
#include "base/clock.h"
#include "base/mem.h"
#include "control/agent_spec.h"
#include "control/agents.h"
#include "control/event_params.h"
#include "control/event_send.h"
#include "control/metadata.h"
#include "control/sessions.h"
#include "control/text.h"
#include "control/work_tx.h"

#define INITIAL_EVENTS_MAX 50
#define TITLE_MAX 4096

static struct result check_runnable(const json_t *agent, struct err *e)
{
	if (json_array_size(json_object_get(agent, "mcp_servers")) > 0)
		return err_set(e, ERR_INVALID, "agent: it uses MCP servers, which this control plane does not call yet");
	if (json_array_size(json_object_get(agent, "skills")) > 0)
		return err_set(e, ERR_INVALID, "agent: it has skills, which this control plane does not serve yet");
	return OK;
}

static struct result override(json_t *agent, const json_t *given, struct err *e)
{
	static const char *const members[] = {"model", "system", "tools", "skills", "mcp_servers", NULL};
	AUTO_JSON json_t *only = json_copy((json_t *)given);
	json_object_del(only, "type");
	json_object_del(only, "id");
	json_object_del(only, "version");
	return agent_spec_apply(agent, only, members, e);
}

// The new session's agent: what the body names, resolved to the object that the session keeps.
static struct result take_agent(struct store_tx *tx, json_t *given, json_t **out, struct err *e)
{
	static const char *const plain[] = {"type", "id", "version", NULL};
	static const char *const dropped[] = {"metadata", "created_at", "updated_at"};
	struct span id = json_span(given), type = SPAN_LIT("agent");
	int64_t version = 0;
	bool archived = false;
	if (json_is_object(given)) {
		TRY(json_get_string(given, "agent", "type", &type, e));
		TRY(json_get_string(given, "agent", "id", &id, e));
		TRY(json_opt_int(given, "agent", "version", 0, &version, e));
		if (version < 0)
			return err_set(e, ERR_INVALID, "agent.version: must be at least 1");
	} else if (!json_is_string(given)) {
		return err_set(e, ERR_INVALID, "agent: must be an agent's id or an object");
	}
	bool overridden = span_is(type, "agent_with_overrides");
	if (!overridden && !span_is(type, "agent"))
		return err_set(e, ERR_INVALID, "agent.type: must be agent or agent_with_overrides");
	if (!overridden && json_is_object(given))
		TRY(event_params_only(given, "agent", plain, e));
	AUTO_FREE char *name = span_dup(id);
	AUTO_JSON json_t *agent = NULL;
	TRY(agents_load(tx, name, version, &agent, &archived, e));
	if (archived)
		return err_set(e, ERR_INVALID, "agent: %.64s is archived", name);
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		json_object_del(agent, dropped[i]);
	if (overridden)
		TRY(override(agent, given, e));
	TRY(check_runnable(agent, e));
	*out = json_incref(agent);
	return OK;
}

struct result session_create_title(const json_t *body, char **out, struct err *e)
{
	AUTO_FREE char *title = NULL;
	TRY(text_take_opt(body, "title", 0, TITLE_MAX, &title, e));
	*out = title == NULL ? NULL : json_dumps(json_object_get(body, "title"), JSON_ENCODE_ANY | JSON_COMPACT);
	return OK;
}

// Nothing can be attached to a session yet: a resource that is accepted and not there would fail its worker, or mislead its
// agent.
static struct result check_resources(const json_t *body, struct err *e)
{
	json_t *list = NULL, *item;
	size_t i;
	TRY(json_opt_array(body, "", "resources", &list, e));
	json_array_foreach (list, i, item) {
		struct span type;
		char where[TEXT_WHERE_MAX];
		text_where(where, "resources[%zu]", i);
		if (!json_is_object(item))
			return err_set(e, ERR_INVALID, "%s: must be an object", where);
		TRY(json_get_string(item, where, "type", &type, e));
		if (span_is(type, "file") || span_is(type, "github_repository"))
			return err_set(e, ERR_INVALID, "%s: a self-hosted session takes memory_store resources only", where);
		if (!span_is(type, "memory_store"))
			return err_set(e, ERR_INVALID, "%s.type: must be memory_store", where);
		return err_set(e, ERR_INVALID, "%s: this control plane has no memory stores yet", where);
	}
	return OK;
}

static bool take_environment(void *arg, const struct store_row *row)
{
	char *type = arg;
	struct span t = store_text(row, 0);
	memcpy(type, t.data, t.len < 31 ? t.len : 31);
	type[31] = store_null(row, 1) ? 0 : 1;
	return true;
}

static struct result check_environment(struct op *op, struct store_tx *tx, struct span id, struct err *e)
{
	char type[32] = "";
	struct result r = store_query_one(tx, e, take_environment, type,
	                                  "SELECT type, archived_at FROM environments WHERE id = $1", "s", id);
	if (failed(r) && e->kind == ERR_NOT_FOUND) {
		op->error.details = json_pack("{s:s}", "error_code", "environment_not_found");
		return err_set(e, ERR_NOT_FOUND, "environment_id: there is no environment %.*s",
		               (int)(id.len < 64 ? id.len : 64), id.data);
	}
	TRY(r);
	if (type[31] != 0) {
		op->error.details = json_pack("{s:s}", "error_code", "environment_archived");
		return err_set(e, ERR_INVALID, "environment_id: that environment is archived");
	}
	if (strcmp(type, "self_hosted") != 0)
		return err_set(e, ERR_INVALID,
		               "environment_id: only sessions in self_hosted environments run on this control plane");
	return OK;
}

static struct result insert(struct op *op, struct store_tx *tx, const char *id, struct err *e)
{
	const json_t *body = op->r->body;
	AUTO_JSON json_t *agent = NULL, *metadata = NULL;
	AUTO_FREE char *title = NULL;
	struct span environment = json_span(json_object_get(body, "environment_id"));
	TRY(check_environment(op, tx, environment, e));
	TRY(take_agent(tx, json_object_get(body, "agent"), &agent, e));
	TRY(session_create_title(body, &title, e));
	TRY(metadata_take(body, NULL, false, &metadata, e));
	AUTO_FREE char *agent_text = json_text(agent, NULL), *metadata_text = json_text(metadata, NULL);
	return store_exec(
	        tx, e,
	        "INSERT INTO sessions(id, environment, agent_id, agent_version, agent, title, metadata, resources, status,"
	        " next_seq, waiting, open_span, up_to_seq, input_tokens, output_tokens, cache_read, cache_creation, active_us,"
	        " created_at, updated_at)"
	        " VALUES ($1, $2, $3, $4, $5, $6, $7, '[]', 0, 1, 0, '', 0, 0, 0, 0, 0, 0, $8, $8)",
	        "sssiszsi", span_of(id), environment, json_span(json_object_get(agent, "id")),
	        (int64_t)json_integer_value(json_object_get(agent, "version")), span_of(agent_text), span_of(title),
	        span_of(metadata_text), clock_utc_us());
}

static struct result create(struct op *op, struct store_tx *tx, struct err *e)
{
	const char *id = op->arg;
	struct session_tx s;
	TRY(insert(op, tx, id, e));
	TRY(session_tx_load(&s, op, tx, id, e));
	struct event_send send = {json_object_get(op->r->body, "initial_events"), op->r->who, json_array(), json_array()};
	struct result r = event_send_apply(&s, &send, e);
	json_decref(send.stored);
	json_decref(send.ids);
	TRY(r);
	TRY(session_tx_save(&s, e));
	TRY(work_tx_ensure(&s, e));
	return sessions_answer(op, tx, id, e);
}

static struct result check_body(const json_t *body, struct err *e)
{
	static const char *const members[] = {"agent",     "environment_id", "title",  "metadata", "initial_events",
	                                      "resources", "vault_ids",      "budget", NULL};
	struct span environment;
	json_t *list = NULL, *ev;
	size_t i;
	TRY(event_params_only(body, "", members, e));
	TRY(json_get_string(body, "", "environment_id", &environment, e));
	TRY(check_resources(body, e));
	if (json_object_get(body, "agent") == NULL)
		return err_set(e, ERR_INVALID, "agent: required");
	TRY(json_opt_array(body, "", "vault_ids", &list, e));
	if (json_array_size(list) > 0)
		return err_set(e, ERR_INVALID, "vault_ids: this control plane has no vaults");
	json_t *budget = json_object_get(body, "budget");
	if (budget != NULL && !json_is_null(budget))
		return err_set(e, ERR_INVALID, "budget: this control plane knows no prices, so it can't keep one");
	json_t *initial = json_object_get(body, "initial_events");
	if (initial == NULL || json_is_null(initial) || (json_is_array(initial) && json_array_size(initial) == 0))
		return OK;
	TRY(event_params_check_all(body, "initial_events", INITIAL_EVENTS_MAX, &list, e));
	json_array_foreach (list, i, ev) {
		if (!span_is(json_span(json_object_get(ev, "type")), "user.message"))
			return err_set(e, ERR_INVALID, "initial_events[%zu].type: must be user.message", i);
	}
	return OK;
}

void sessions_create(struct request *r)
{
	struct err e;
	char *id = mem_zero(ID_MAX);
	id_make(id, "sesn");
	struct op *op = op_new(r->c, r, create);
	op->arg = id;
	op->release = free;
	if (failed(request_parse_body(r, false, &e)) || failed(check_body(r->body, &e))) {
		op_refuse(op, &e);
		return;
	}
	struct record_note *n = op_note(op, AUDIT_ADMIN, "session.create", id, id);
	record_note_set(&n->arguments, http_exchange_body(r->x));
	op_submit(op);
}

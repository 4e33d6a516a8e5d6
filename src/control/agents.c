#include "control/agents.h"

#include "base/clock.h"
#include "base/mem.h"
#include "control/agent_spec.h"
#include "control/metadata.h"
#include "control/page.h"
#include "control/text.h"

static const char *const create_members[] = {"name",        "model",  "system",     "description",        "tools",
                                             "mcp_servers", "skills", "multiagent", "execution_identity", "metadata",
                                             NULL};
static const char *const update_members[] = {"name",        "model",  "system",     "description",        "tools",
                                             "mcp_servers", "skills", "multiagent", "execution_identity", "metadata",
                                             "version",     NULL};

struct agent_row {
	char *body; // the version's object without its closing brace and archived_at
	int64_t archived_at, created_at;
};

static void agent_row_fini(struct agent_row *a)
{
	free(a->body);
}
#define AUTO_AGENT __attribute__((cleanup(agent_row_fini)))

static bool take(void *arg, const struct store_row *row)
{
	struct agent_row *a = arg;
	free(a->body);
	a->body = span_dup(store_text(row, 0));
	a->archived_at = store_int(row, 1);
	return true;
}

static bool put(struct buf *out, struct span body, int64_t archived_at)
{
	return buf_add(out, body) && buf_add_str(out, ",\"archived_at\":") && text_time(out, archived_at) &&
	       buf_add_str(out, "}");
}

static struct result load(struct store_tx *tx, const char *id, int64_t version, struct agent_row *a, struct err *e)
{
	struct result r;
	if (version == 0)
		r = store_query_one(tx, e, take, a,
		                    "SELECT v.body, a.archived_at FROM agents a JOIN agent_versions v ON v.agent = a.id"
		                    " AND v.version = a.version WHERE a.id = $1",
		                    "s", span_of(id));
	else
		r = store_query_one(tx, e, take, a,
		                    "SELECT v.body, a.archived_at FROM agents a JOIN agent_versions v ON v.agent = a.id"
		                    " WHERE a.id = $1 AND v.version = $2",
		                    "si", span_of(id), version);
	if (!failed(r) || e->kind != ERR_NOT_FOUND)
		return r;
	return version == 0 ? err_set(e, ERR_NOT_FOUND, "there is no agent %.64s", id)
	                    : err_set(e, ERR_NOT_FOUND, "there is no version %lld of agent %.64s", (long long)version, id);
}

static struct result parse_row(const struct agent_row *a, json_t **out, struct err *e)
{
	AUTO_FREE char *text = mem_printf("%s}", a->body);
	return json_parse_object(span_of(text), "a stored agent", out, e);
}

struct result agents_load(struct store_tx *tx, const char *id, int64_t version, json_t **out, bool *archived, struct err *e)
{
	AUTO_AGENT struct agent_row a = {0};
	TRY(load(tx, id, version, &a, e));
	*archived = a.archived_at != 0;
	return parse_row(&a, out, e);
}

static struct result answer(struct op *op, const char *body, int64_t archived_at, struct err *e)
{
	return put(&op->answer, span_of(body), archived_at) ? OK : err_set(e, ERR_TOO_LARGE, "the answer is too large");
}

// --- create and update

static char *body_text(const json_t *agent)
{
	size_t len = 0;
	char *text = json_text(agent, &len);
	text[len - 1] = '\0';
	return text;
}

static void set_time(json_t *agent, const char *name, int64_t at)
{
	char text[CLOCK_RFC3339_LEN];
	clock_format(at, text);
	json_object_set_new(agent, name, json_string(text));
}

static struct result store_version(struct op *op, struct store_tx *tx, const json_t *agent, struct err *e)
{
	AUTO_FREE char *body = body_text(agent);
	TRY(store_exec(tx, e, "INSERT INTO agent_versions(agent, version, body) VALUES ($1, $2, $3)", "sis",
	               json_span(json_object_get(agent, "id")), (int64_t)json_integer_value(json_object_get(agent, "version")),
	               span_of(body)));
	return answer(op, body, 0, e);
}

static struct result create(struct op *op, struct store_tx *tx, struct err *e)
{
	json_t *agent = op->arg;
	TRY(store_exec(tx, e, "INSERT INTO agents(id, version, created_at) VALUES ($1, 1, $2)", "si",
	               json_span(json_object_get(agent, "id")), clock_utc_us()));
	return store_version(op, tx, agent, e);
}

static void release_json(void *arg)
{
	json_decref(arg);
}

static struct result take_new(json_t *agent, const struct request *r, struct err *e)
{
	struct span name;
	json_t *metadata = NULL;
	TRY(json_get_string(r->body, "", "name", &name, e));
	if (json_object_get(r->body, "model") == NULL)
		return err_set(e, ERR_INVALID, "model: required");
	TRY(agent_spec_apply(agent, r->body, create_members, e));
	TRY(metadata_take(r->body, NULL, false, &metadata, e));
	json_object_set_new(agent, "metadata", metadata);
	return OK;
}

void agents_create(struct request *r)
{
	struct err e;
	char id[ID_MAX];
	id_make(id, "agent");
	struct op *op = op_new(r->c, r, create);
	json_t *agent = json_pack("{s:s, s:s, s:i}", "id", id, "type", "agent", "version", 1);
	AUTO_JSON json_t *defaults = agent_spec_new();
	json_object_update(agent, defaults);
	op->arg = agent;
	op->release = release_json;
	if (failed(request_parse_body(r, false, &e)) || failed(take_new(agent, r, &e))) {
		op_refuse(op, &e);
		return;
	}
	int64_t now = clock_utc_us();
	set_time(agent, "created_at", now);
	set_time(agent, "updated_at", now);
	op_note(op, AUDIT_ADMIN, "agent.create", NULL, id);
	op_submit(op);
}

static struct result update(struct op *op, struct store_tx *tx, struct err *e)
{
	const char *id = op->r->segments[2];
	AUTO_AGENT struct agent_row a = {0};
	AUTO_JSON json_t *agent = NULL, *before = NULL, *metadata = NULL;
	int64_t expected = 0;
	TRY(load(tx, id, 0, &a, e));
	if (a.archived_at != 0)
		return err_set(e, ERR_INVALID, "agent %s is archived", id);
	TRY(parse_row(&a, &agent, e));
	TRY(parse_row(&a, &before, e));
	int64_t version = json_integer_value(json_object_get(agent, "version"));
	TRY(json_opt_int(op->r->body, "", "version", version, &expected, e));
	if (expected < 1)
		return err_set(e, ERR_INVALID, "version: must be at least 1");
	if (expected != version) {
		op->error.final = true;
		return err_set(e, ERR_CONFLICT, "version: the agent is at version %lld, not %lld", (long long)version,
		               (long long)expected);
	}
	TRY(agent_spec_apply(agent, op->r->body, update_members, e));
	TRY(metadata_take(op->r->body, json_object_get(agent, "metadata"), false, &metadata, e));
	json_object_set(agent, "metadata", metadata);
	if (json_equal(agent, before)) // a version is a change
		return answer(op, a.body, 0, e);
	set_time(agent, "updated_at", clock_utc_us());
	json_object_set_new(agent, "version", json_integer(version + 1));
	TRY(store_exec(tx, e, "UPDATE agents SET version = $1 WHERE id = $2", "is", version + 1, span_of(id)));
	return store_version(op, tx, agent, e);
}

void agents_update(struct request *r)
{
	struct err e;
	if (failed(request_parse_body(r, true, &e))) {
		request_refuse(r, &e, NULL);
		return;
	}
	struct op *op = op_new(r->c, r, update);
	op_note(op, AUDIT_ADMIN, "agent.update", NULL, r->segments[2]);
	op_submit(op);
}

static struct result archive(struct op *op, struct store_tx *tx, struct err *e)
{
	const char *id = op->r->segments[2];
	AUTO_AGENT struct agent_row a = {0};
	TRY(load(tx, id, 0, &a, e));
	if (a.archived_at == 0) {
		a.archived_at = clock_utc_us();
		TRY(store_exec(tx, e, "UPDATE agents SET archived_at = $1 WHERE id = $2", "is", a.archived_at, span_of(id)));
	}
	return answer(op, a.body, a.archived_at, e);
}

void agents_archive(struct request *r)
{
	struct op *op = op_new(r->c, r, archive);
	op_note(op, AUDIT_ADMIN, "agent.archive", NULL, r->segments[2]);
	op_submit(op);
}

// --- reads

struct wanted {
	int64_t version;
};

static struct result get(struct op *op, struct store_tx *tx, struct err *e)
{
	struct wanted *w = op->arg;
	AUTO_AGENT struct agent_row a = {0};
	TRY(load(tx, op->r->segments[2], w->version, &a, e));
	return answer(op, a.body, a.archived_at, e);
}

void agents_get(struct request *r)
{
	struct err e;
	struct op *op = op_new(r->c, r, get);
	struct wanted *w = NEW(struct wanted);
	op->arg = w;
	op->release = free;
	if (failed(request_param_int(r, "version", 1, INT64_MAX, 0, &w->version, &e)))
		op_refuse(op, &e);
	else
		op_read(op);
}

struct listing {
	struct page page;
	bool archived, full;
	int64_t from, to;
};

static bool list_one(void *arg, const struct store_row *row)
{
	struct listing *li = arg;
	if (!page_item(&li->page, store_int(row, 2), store_text(row, 3)))
		return false;
	li->full |= !put(li->page.out, store_text(row, 0), store_int(row, 1));
	return !li->full;
}

static struct result list(struct op *op, struct store_tx *tx, struct err *e)
{
	struct listing *li = op->arg;
	struct page *p = &li->page;
	bool ok = page_begin(p, &op->answer);
	TRY(store_query(tx, e, list_one, li,
	                "SELECT v.body, a.archived_at, a.created_at, a.id FROM agents a"
	                " JOIN agent_versions v ON v.agent = a.id AND v.version = a.version"
	                " WHERE (a.created_at < $1 OR (a.created_at = $1 AND a.id < $2)) AND a.created_at BETWEEN $3 AND $4"
	                " AND ($5 = 1 OR a.archived_at IS NULL) ORDER BY a.created_at DESC, a.id DESC LIMIT $6",
	                "isiiii", p->from_start ? INT64_MAX : p->at, span_of(p->id), li->from, li->to, (int64_t)li->archived,
	                p->limit + 1));
	return ok && !li->full && page_end(p, false) ? OK : err_set(e, ERR_TOO_LARGE, "limit: the page is too large");
}

static struct result versions(struct op *op, struct store_tx *tx, struct err *e)
{
	struct listing *li = op->arg;
	struct page *p = &li->page;
	const char *id = op->r->segments[2];
	AUTO_AGENT struct agent_row a = {0};
	TRY(load(tx, id, 0, &a, e));
	bool ok = page_begin(p, &op->answer);
	TRY(store_query(tx, e, list_one, li,
	                "SELECT v.body, a.archived_at, v.version, a.id FROM agents a JOIN agent_versions v ON v.agent = a.id"
	                " WHERE a.id = $1 AND v.version < $2 ORDER BY v.version DESC LIMIT $3",
	                "sii", span_of(id), p->from_start ? INT64_MAX : p->at, p->limit + 1));
	return ok && !li->full && page_end(p, false) ? OK : err_set(e, ERR_TOO_LARGE, "limit: the page is too large");
}

static void submit_list(struct request *r, struct result (*run)(struct op *op, struct store_tx *tx, struct err *e))
{
	struct err e;
	struct listing *li = NEW(struct listing);
	struct op *op = op_new(r->c, r, run);
	op->arg = li;
	op->release = free;
	if (failed(page_parse(&li->page, r, 20, 100, false, false, &e)) ||
	    failed(request_param_bool(r, "include_archived", false, &li->archived, &e)) ||
	    failed(request_param_time(r, "created_at[gte]", 0, &li->from, &e)) ||
	    failed(request_param_time(r, "created_at[lte]", INT64_MAX, &li->to, &e)))
		op_refuse(op, &e);
	else
		op_read(op);
}

void agents_list(struct request *r)
{
	submit_list(r, list);
}

void agents_versions(struct request *r)
{
	submit_list(r, versions);
}

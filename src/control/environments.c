#include "control/environments.h"

#include "base/clock.h"
#include "base/mem.h"
#include "control/environment_config.h"
#include "control/event_params.h"
#include "control/metadata.h"
#include "control/page.h"
#include "control/text.h"

#define COLUMNS "id, name, type, config, description, metadata, scope, created_at, updated_at, archived_at"

struct environment {
	char *id, *name, *type, *config, *description, *metadata, *scope;
	int64_t created_at, updated_at, archived_at;
};

static void environment_fini(struct environment *v)
{
	char *texts[] = {v->id, v->name, v->type, v->config, v->description, v->metadata, v->scope};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
}
#define AUTO_ENVIRONMENT __attribute__((cleanup(environment_fini)))

static bool take(void *arg, const struct store_row *row)
{
	struct environment *v = arg;
	char **texts[] = {&v->id, &v->name, &v->type, &v->config, &v->description, &v->metadata, &v->scope};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = store_null(row, (int)i) ? NULL : span_dup(store_text(row, (int)i));
	v->created_at = store_int(row, 7);
	v->updated_at = store_int(row, 8);
	v->archived_at = store_int(row, 9);
	return true;
}

static bool put(struct buf *out, const struct environment *v)
{
	return buf_printf(out, "{\"id\":\"%s\",\"type\":\"environment\",\"name\":", v->id) && text_string(out, v->name) &&
	       buf_add_str(out, ",\"description\":") && text_string(out, v->description) && buf_add_str(out, ",\"config\":") &&
	       buf_add_str(out, v->config) && buf_add_str(out, ",\"metadata\":") && buf_add_str(out, v->metadata) &&
	       buf_add_str(out, ",\"created_at\":") && text_time(out, v->created_at) && buf_add_str(out, ",\"updated_at\":") &&
	       text_time(out, v->updated_at) && buf_add_str(out, ",\"archived_at\":") && text_time(out, v->archived_at) &&
	       (v->scope == NULL || (buf_add_str(out, ",\"scope\":") && text_string(out, v->scope))) && buf_add_str(out, "}");
}

static struct result answer(struct op *op, const struct environment *v, struct err *e)
{
	return put(&op->answer, v) ? OK : err_set(e, ERR_TOO_LARGE, "the answer is too large");
}

static struct result not_found(struct op *op, const char *id, struct err *e)
{
	op->error.details = json_pack("{s:s}", "error_code", "environment_not_found");
	return err_set(e, ERR_NOT_FOUND, "there is no environment %.64s", id);
}

static struct result load(struct op *op, struct store_tx *tx, struct environment *v, struct err *e)
{
	const char *id = op->r->segments[2];
	struct result r =
	        store_query_one(tx, e, take, v, "SELECT " COLUMNS " FROM environments WHERE id = $1", "s", span_of(id));
	return failed(r) && e->kind == ERR_NOT_FOUND ? not_found(op, id, e) : r;
}

static struct result get(struct op *op, struct store_tx *tx, struct err *e)
{
	AUTO_ENVIRONMENT struct environment v = {0};
	TRY(load(op, tx, &v, e));
	return answer(op, &v, e);
}

void environments_get(struct request *r)
{
	op_read(op_new(r->c, r, get));
}

static struct result name_taken(struct err *e, const char *name)
{
	return e->kind != ERR_CONFLICT ? FAIL
	                               : err_set(e, ERR_CONFLICT, "name: an environment named %.128s exists already", name);
}

static struct result insert(struct store_tx *tx, const struct environment *v, bool at_least_once, struct err *e)
{
	struct result r = store_exec(tx, e,
	                             "INSERT INTO environments(" COLUMNS
	                             ", at_least_once)"
	                             " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, NULL, $9)",
	                             "sssszszii", span_of(v->id), span_of(v->name), span_of(v->type), span_of(v->config),
	                             span_of(v->description), span_of(v->metadata), span_of(v->scope), v->created_at,
	                             (int64_t)at_least_once);
	return failed(r) ? name_taken(e, v->name) : OK;
}

static struct result create(struct op *op, struct store_tx *tx, struct err *e)
{
	struct environment *v = op->arg;
	TRY(insert(tx, v, false, e));
	return answer(op, v, e);
}

static void release(void *arg)
{
	environment_fini(arg);
	free(arg);
}

static const char *const members[] = {"name", "config", "description", "metadata", "scope", NULL};

// Fills what the body gives; `v` holds what was before.
static struct result apply(struct op *op, struct environment *v, const json_t *body, struct err *e)
{
	struct span name = {NULL, 0}, scope = {NULL, 0};
	TRY(event_params_only(body, "", members, e));
	TRY(json_opt_string(body, "", "name", &name, e));
	if (name.data != NULL) {
		TRY(text_check_name(name, "name", 1, 256, e));
		text_replace(&v->name, name);
	}
	TRY(text_take_opt(body, "description", 0, 4096, &v->description, e));
	TRY(json_opt_string(body, "", "scope", &scope, e));
	if (scope.data != NULL && !span_is(scope, "organization") && !span_is(scope, "account"))
		return err_set(e, ERR_INVALID, "scope: must be organization or account");
	if (scope.data != NULL)
		text_replace(&v->scope, scope);
	AUTO_JSON json_t *old = NULL, *metadata = NULL;
	TRY(json_parse_object(span_of(v->metadata), "metadata", &old, e));
	if (failed(metadata_take(body, old, true, &metadata, e))) {
		op->error.details = json_pack("{s:s}", "error_code", "invalid_metadata");
		return FAIL;
	}
	free(v->metadata);
	v->metadata = json_text(metadata, NULL);
	json_t *config = json_object_get(body, "config");
	return config == NULL || json_is_null(config) ? OK : environment_config_take(op, config, &v->type, &v->config, e);
}

void environments_create(struct request *r)
{
	struct err e;
	struct span name;
	struct op *op = op_new(r->c, r, create);
	struct environment *v = NEW(struct environment);
	char id[ID_MAX];
	id_make(id, "env");
	v->id = mem_strdup(id);
	v->metadata = mem_strdup("{}");
	v->created_at = v->updated_at = clock_utc_us();
	op->arg = v;
	op->release = release;
	struct result res = request_parse_body(r, false, &e);
	if (!failed(res))
		res = json_get_string(r->body, "", "name", &name, &e);
	if (!failed(res))
		res = apply(op, v, r->body, &e);
	if (!failed(res) && v->config == NULL)
		res = environment_config_take(op, NULL, &v->type, &v->config, &e);
	if (failed(res)) {
		op_refuse(op, &e);
		return;
	}
	op_note(op, AUDIT_ADMIN, "environment.create", NULL, id);
	op_submit(op);
}

static struct result update(struct op *op, struct store_tx *tx, struct err *e)
{
	AUTO_ENVIRONMENT struct environment v = {0};
	TRY(load(op, tx, &v, e));
	if (v.archived_at != 0) {
		op->error.details = json_pack("{s:s}", "error_code", "environment_archived");
		return err_set(e, ERR_INVALID, "environment %s is archived", v.id);
	}
	TRY(apply(op, &v, op->r->body, e));
	v.updated_at = clock_utc_us();
	if (failed(store_exec(tx, e,
	                      "UPDATE environments SET name = $1, config = $2, description = $3, metadata = $4, scope = $5,"
	                      " updated_at = $6 WHERE id = $7",
	                      "sszszis", span_of(v.name), span_of(v.config), span_of(v.description), span_of(v.metadata),
	                      span_of(v.scope), v.updated_at, span_of(v.id))))
		return name_taken(e, v.name);
	return answer(op, &v, e);
}

void environments_update(struct request *r)
{
	struct err e;
	if (failed(request_parse_body(r, true, &e))) {
		request_refuse(r, &e, NULL);
		return;
	}
	struct op *op = op_new(r->c, r, update);
	op_note(op, AUDIT_ADMIN, "environment.update", NULL, r->segments[2]);
	op_submit(op);
}

static struct result archive(struct op *op, struct store_tx *tx, struct err *e)
{
	AUTO_ENVIRONMENT struct environment v = {0};
	TRY(load(op, tx, &v, e));
	if (v.archived_at == 0) {
		v.archived_at = v.updated_at = clock_utc_us();
		TRY(store_exec(tx, e, "UPDATE environments SET archived_at = $1, updated_at = $1 WHERE id = $2", "is",
		               v.archived_at, span_of(v.id)));
	}
	return answer(op, &v, e);
}

void environments_archive(struct request *r)
{
	struct op *op = op_new(r->c, r, archive);
	op_note(op, AUDIT_ADMIN, "environment.archive", NULL, r->segments[2]);
	op_submit(op);
}

static bool see_row(void *arg, const struct store_row *row)
{
	(void)row;
	*(bool *)arg = true;
	return false;
}

static struct result delete (struct op *op, struct store_tx *tx, struct err *e)
{
	AUTO_ENVIRONMENT struct environment v = {0};
	bool used = false;
	TRY(load(op, tx, &v, e));
	TRY(store_query(tx, e, see_row, &used, "SELECT 1 FROM sessions WHERE environment = $1 LIMIT 1", "s", span_of(v.id)));
	if (used)
		return err_set(e, ERR_INVALID, "environment %s has sessions: delete them first, or archive the environment",
		               v.id);
	TRY(store_exec(tx, e, "DELETE FROM keys WHERE environment = $1", "s", span_of(v.id)));
	TRY(store_exec(tx, e, "DELETE FROM environments WHERE id = $1", "s", span_of(v.id)));
	return buf_printf(&op->answer, "{\"id\":\"%s\",\"type\":\"environment_deleted\"}", v.id) ? OK : FAIL;
}

void environments_delete(struct request *r)
{
	struct op *op = op_new(r->c, r, delete);
	op_note(op, AUDIT_ADMIN, "environment.delete", NULL, r->segments[2]);
	op_submit(op);
}

struct listing {
	struct page page;
	bool archived, full;
};

static bool list_one(void *arg, const struct store_row *row)
{
	struct listing *li = arg;
	AUTO_ENVIRONMENT struct environment v = {0};
	take(&v, row);
	if (!page_item(&li->page, v.created_at, span_of(v.id)))
		return false;
	li->full |= !put(li->page.out, &v);
	return !li->full;
}

static struct result list(struct op *op, struct store_tx *tx, struct err *e)
{
	struct listing *li = op->arg;
	struct page *p = &li->page;
	int64_t at = p->from_start ? INT64_MAX : p->at;
	bool ok = page_begin(p, &op->answer);
	TRY(store_query(tx, e, list_one, li,
	                "SELECT " COLUMNS " FROM environments WHERE (created_at < $1 OR (created_at = $1 AND id < $2))"
	                " AND ($3 = 1 OR archived_at IS NULL) ORDER BY created_at DESC, id DESC LIMIT $4",
	                "isii", at, span_of(p->id), (int64_t)li->archived, p->limit + 1));
	return ok && !li->full && page_end(p, false) ? OK : err_set(e, ERR_TOO_LARGE, "limit: the page is too large");
}

void environments_list(struct request *r)
{
	struct err e;
	struct listing *li = NEW(struct listing);
	struct op *op = op_new(r->c, r, list);
	op->arg = li;
	op->release = free;
	if (failed(page_parse(&li->page, r, 20, 100, false, false, &e)) ||
	    failed(request_param_bool(r, "include_archived", false, &li->archived, &e)))
		op_refuse(op, &e);
	else
		op_read(op);
}

struct result environments_ensure(struct store_tx *tx, const struct config_environment *cfg, struct err *e)
{
	bool there = false;
	TRY(store_query(tx, e, see_row, &there, "SELECT 1 FROM environments WHERE id = $1", "s", span_of(cfg->id)));
	if (there)
		return store_exec(tx, e, "UPDATE environments SET name = $1, at_least_once = $2 WHERE id = $3", "sis",
		                  span_of(cfg->name), (int64_t)cfg->at_least_once, span_of(cfg->id));
	AUTO_ENVIRONMENT struct environment v = {
	        .id = mem_strdup(cfg->id),
	        .name = mem_strdup(cfg->name),
	        .type = mem_strdup("self_hosted"),
	        .config = mem_strdup("{\"type\":\"self_hosted\"}"),
	        .metadata = mem_strdup("{}"),
	        .created_at = clock_utc_us(),
	};
	return insert(tx, &v, cfg->at_least_once, e);
}

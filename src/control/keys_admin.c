// Environment keys by the admin socket.
#include "base/clock.h"
#include "base/mem.h"
#include "control/keys.h"
#include "control/stream.h"
#include "control/text.h"

struct asking {
	struct admin_request *a;
	struct credential key;
	char secret[SECRET_MAX];
	char *name;
	json_t *list;
	int64_t changed;
};

static void release(void *arg)
{
	struct asking *k = arg;
	mem_wipe(k->secret, sizeof(k->secret));
	free(k->name);
	json_decref(k->list);
	free(k);
}

static void refused(struct op *op, const struct err *e)
{
	struct asking *k = op->arg;
	admin_refuse(k->a, "%s", e->msg);
}

static struct op *asking_new(struct control *c, struct admin_request *a,
                             struct result (*run)(struct op *op, struct store_tx *tx, struct err *e),
                             void (*published)(struct op *op))
{
	struct op *op = op_new(c, NULL, run);
	struct asking *k = NEW(struct asking);
	k->a = a;
	op->arg = k;
	op->release = release;
	op->refused = refused;
	op->published = published;
	return op;
}

static bool see_row(void *arg, const struct store_row *row)
{
	(void)row;
	*(bool *)arg = true;
	return false;
}

static struct result create(struct op *op, struct store_tx *tx, struct err *e)
{
	struct asking *k = op->arg;
	struct span environment = k->key.environment[0] == '\0' ? (struct span){NULL, 0} : span_of(k->key.environment);
	bool there = environment.data == NULL;
	if (!there)
		TRY(store_query(tx, e, see_row, &there, "SELECT 1 FROM environments WHERE id = $1", "s", environment));
	if (!there)
		return err_set(e, ERR_NOT_FOUND, "there is no environment %s", k->key.environment);
	return store_exec(
	        tx, e,
	        "INSERT INTO keys(hash, id, kind, environment, name, created_at) VALUES ($1, $2, 'environment', $3, $4, $5)",
	        "bszsi", span_from((const char *)k->key.hash, AUTH_HASH_LEN), span_of(k->key.id), environment, span_of(k->name),
	        clock_utc_us());
}

static void created(struct op *op)
{
	struct asking *k = op->arg;
	auth_add(op->c->auth, &k->key);
	json_t *environment = k->key.environment[0] == '\0' ? json_null() : json_string(k->key.environment);
	admin_answer(k->a, json_pack("{s:b, s:s, s:s, s:o, s:s}", "ok", 1, "id", k->key.id, "key", k->secret, "environment",
	                             environment, "name", k->name));
}

void keys_admin_create(struct control *c, struct admin_request *a, const json_t *request)
{
	struct err e;
	struct span environment = {NULL, 0}, name = {NULL, 0};
	bool any = false;
	struct result r = json_opt_string(request, "", "environment", &environment, &e);
	if (!failed(r))
		r = json_opt_string(request, "", "name", &name, &e);
	if (!failed(r))
		r = json_opt_bool(request, "", "any", false, &any, &e);
	if (!failed(r) && name.data != NULL)
		r = text_check_name(name, "name", 1, 128, &e);
	if (!failed(r) && (any == (environment.data != NULL) || environment.len >= ID_MAX))
		r = err_set(&e, ERR_INVALID, "name the environment that the key is for, or say --any");
	if (failed(r)) {
		admin_refuse(a, "%s", e.msg);
		return;
	}
	struct op *op = asking_new(c, a, create, created);
	struct asking *k = op->arg;
	k->key.kind = AUTH_ENVIRONMENT;
	if (!any)
		memcpy(k->key.environment, environment.data, environment.len);
	id_make(k->key.id, "envkey");
	secret_make(k->secret, "sp-env");
	auth_hash(span_of(k->secret), k->key.hash);
	k->name = name.data == NULL ? mem_strdup("") : span_dup(name);
	struct record_note *n = op_note(op, AUDIT_ADMIN, "key.create", NULL, k->key.id);
	record_note_set(&n->actor, SPAN_LIT("operator"));
	record_note_set(&n->reason, any ? SPAN_LIT("for any environment") : environment);
	op_submit(op);
}

static bool take_key(void *arg, const struct store_row *row)
{
	struct asking *k = arg;
	AUTO_BUF struct buf b;
	buf_init(&b, 4096);
	struct span id = store_text(row, 0), environment = store_text(row, 1);
	AUTO_FREE char *name = span_dup(store_text(row, 2));
	char at[CLOCK_RFC3339_LEN] = "", gone[CLOCK_RFC3339_LEN] = "";
	clock_format(store_int(row, 3), at);
	if (!store_null(row, 4))
		clock_format(store_int(row, 4), gone);
	json_array_append_new(
	        k->list,
	        json_pack("{s:s%, s:o, s:s, s:s, s:o}", "id", id.data, id.len, "environment",
	                  environment.data == NULL ? json_null() : json_stringn(environment.data, environment.len), "name",
	                  name, "created_at", at, "revoked_at", gone[0] == '\0' ? json_null() : json_string(gone)));
	return true;
}

static struct result list(struct op *op, struct store_tx *tx, struct err *e)
{
	struct asking *k = op->arg;
	return store_query(tx, e, take_key, k,
	                   "SELECT id, environment, name, created_at, revoked_at FROM keys"
	                   " WHERE ($1 = '' OR environment = $1) ORDER BY created_at, id",
	                   "s", span_of(k->key.environment));
}

static void listed(struct op *op)
{
	struct asking *k = op->arg;
	admin_answer(k->a, json_pack("{s:b, s:O}", "ok", 1, "keys", k->list));
}

void keys_admin_list(struct control *c, struct admin_request *a, const json_t *request)
{
	struct err e;
	struct span environment = {"", 0};
	if (failed(json_opt_string(request, "", "environment", &environment, &e)) || environment.len >= ID_MAX) {
		admin_refuse(a, "environment: not an id");
		return;
	}
	struct op *op = asking_new(c, a, list, listed);
	struct asking *k = op->arg;
	k->list = json_array();
	memcpy(k->key.environment, environment.data, environment.len);
	op_read(op);
}

static struct result revoke_key(struct op *op, struct store_tx *tx, struct err *e)
{
	struct asking *k = op->arg;
	TRY(store_exec_count(tx, e, &k->changed, "UPDATE keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL", "is",
	                     clock_utc_us(), span_of(k->key.id)));
	return k->changed > 0 ? OK : err_set(e, ERR_NOT_FOUND, "there is no key %s that is not revoked already", k->key.id);
}

static void revoked(struct op *op)
{
	struct asking *k = op->arg;
	auth_revoke(op->c->auth, k->key.id);
	stream_hub_end_key(op->c->hub, k->key.id);
	admin_answer(k->a, json_pack("{s:b, s:s}", "ok", 1, "id", k->key.id));
}

void keys_admin_revoke(struct control *c, struct admin_request *a, const json_t *request)
{
	struct err e;
	struct span id;
	if (failed(json_get_string(request, "", "id", &id, &e)) || id.len >= ID_MAX) {
		admin_refuse(a, "id: name the key by its id, as environment key list shows it");
		return;
	}
	struct op *op = asking_new(c, a, revoke_key, revoked);
	struct asking *k = op->arg;
	memcpy(k->key.id, id.data, id.len);
	struct record_note *n = op_note(op, AUDIT_ADMIN, "key.revoke", NULL, k->key.id);
	record_note_set(&n->actor, SPAN_LIT("operator"));
	op_submit(op);
}

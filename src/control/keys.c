#include "control/keys.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/environments.h"

struct loading {
	void (*done)(void *arg, const struct err *e);
	void *arg;
	struct credential *found; // to go into the table
	size_t n;
};

static struct credential *found_new(struct loading *ld)
{
	ld->found = mem_grow(ld->found, ld->n + 1, sizeof(*ld->found));
	struct credential *c = &ld->found[ld->n++];
	memset(c, 0, sizeof(*c));
	return c;
}

static void copy_id(char out[ID_MAX], struct span s)
{
	size_t n = s.len < ID_MAX - 1 ? s.len : ID_MAX - 1;
	memcpy(out, s.data == NULL ? "" : s.data, n);
	out[n] = '\0';
}

static bool take_key(void *arg, const struct store_row *row)
{
	struct credential *c = found_new(arg);
	memcpy(c->hash, store_text(row, 0).data, AUTH_HASH_LEN);
	copy_id(c->id, store_text(row, 1));
	copy_id(c->environment, store_text(row, 2));
	c->kind = AUTH_ENVIRONMENT;
	return true;
}

static bool take_token(void *arg, const struct store_row *row)
{
	struct credential *c = found_new(arg);
	memcpy(c->hash, store_text(row, 0).data, AUTH_HASH_LEN);
	copy_id(c->id, store_text(row, 1));
	c->epoch = store_int(row, 2);
	copy_id(c->environment, store_text(row, 3));
	copy_id(c->session, store_text(row, 4));
	c->kind = AUTH_TOKEN;
	return true;
}

static struct result hash_file(const char *path, uint8_t out[AUTH_HASH_LEN], struct err *e)
{
	AUTO_BUF struct buf secret;
	buf_init(&secret, 4096);
	TRY(file_read_key(path, &secret, e));
	auth_hash(buf_span(&secret), out);
	mem_wipe(secret.mem, secret.cap);
	return OK;
}

// The file's key is the configuration's: an earlier content of it is no key any more.
static struct result ensure_key(struct store_tx *tx, const struct config_environment *v, struct err *e)
{
	uint8_t hash[AUTH_HASH_LEN];
	char id[ID_MAX];
	AUTO_FREE char *name = mem_printf("configuration:%s", v->id);
	if (v->key_file == NULL)
		return OK;
	TRY(hash_file(v->key_file, hash, e));
	struct span h = span_from((const char *)hash, AUTH_HASH_LEN);
	TRY(store_exec(tx, e, "UPDATE keys SET revoked_at = $1 WHERE name = $2 AND hash <> $3 AND revoked_at IS NULL", "isb",
	               clock_utc_us(), span_of(name), h));
	id_make(id, "envkey");
	return store_exec(
	        tx, e,
	        "INSERT INTO keys(hash, id, kind, environment, name, created_at) VALUES ($1, $2, 'environment', $3, $4, $5)"
	        " ON CONFLICT(hash) DO UPDATE SET revoked_at = NULL, environment = excluded.environment, name = excluded.name",
	        "bsssi", h, span_of(id), span_of(v->id), span_of(name), clock_utc_us());
}

static struct result load(struct op *op, struct store_tx *tx, struct err *e)
{
	struct loading *ld = op->arg;
	const struct config_control *cfg = &op->c->cfg->control;
	for (size_t i = 0; i < cfg->n_environments; i++) {
		TRY(environments_ensure(tx, &cfg->environments[i], e));
		TRY(ensure_key(tx, &cfg->environments[i], e));
	}
	TRY(store_query(tx, e, take_key, ld, "SELECT hash, id, environment FROM keys WHERE revoked_at IS NULL", ""));
	TRY(store_query(tx, e, take_token, ld, "SELECT hash, work, epoch, environment, session_id FROM tokens", ""));
	struct credential *api = found_new(ld);
	api->kind = AUTH_API;
	copy_id(api->id, SPAN_LIT("api-key"));
	return hash_file(cfg->api_key_file, api->hash, e);
}

static void loaded(struct op *op)
{
	struct loading *ld = op->arg;
	for (size_t i = 0; i < ld->n; i++)
		auth_add(op->c->auth, &ld->found[i]);
	ld->done(ld->arg, NULL);
}

static void not_loaded(struct op *op, const struct err *e)
{
	struct loading *ld = op->arg;
	ld->done(ld->arg, e);
}

static void release_loading(void *arg)
{
	struct loading *ld = arg;
	free(ld->found);
	free(ld);
}

void keys_load(struct control *c, void (*done)(void *arg, const struct err *e), void *arg)
{
	struct op *op = op_new(c, NULL, load);
	struct loading *ld = NEW(struct loading);
	ld->done = done;
	ld->arg = arg;
	op->arg = ld;
	op->release = release_loading;
	op->published = loaded;
	op->refused = not_loaded;
	op->unrecorded = true; // the recorder may still be starting
	op_submit(op);
}

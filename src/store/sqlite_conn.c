#include "store/sqlite_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#define BUSY_TIMEOUT_MS 5000
#define VALUE_MAX (64 * 1024 * 1024)

struct result sqlite_conn_err(struct sqlite_conn *c, struct err *e, const char *what)
{
	int code = sqlite3_errcode(c->db);
	enum err_kind kind = ERR_SYSTEM;
	int sys = EIO;
	switch (code) {
	case SQLITE_FULL:
		sys = ENOSPC;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		kind = ERR_CORRUPT;
		break;
	case SQLITE_CONSTRAINT:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		kind = ERR_CONFLICT;
		break;
	case SQLITE_TOOBIG:
		kind = ERR_TOO_LARGE;
		break;
	case SQLITE_ERROR:
	case SQLITE_MISUSE:
	case SQLITE_MISMATCH:
		kind = ERR_INVALID;
		break;
	}
	struct result r = err_set(e, kind, "%s: %s", what, sqlite3_errmsg(c->db));
	if (e != NULL && kind == ERR_SYSTEM)
		e->sys = sys;
	return r;
}

struct result sqlite_conn_run(struct sqlite_conn *c, const char *sql, struct err *e)
{
	if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_conn_err(c, e, sql);
	return OK;
}

static struct result harden(struct sqlite_conn *c, struct err *e)
{
	const struct {
		int option, value;
	} options[] = {
	        {SQLITE_DBCONFIG_DEFENSIVE, 1},
	        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
	        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
	        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
	        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
	        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
	        {SQLITE_DBCONFIG_DQS_DML, 0},
	        {SQLITE_DBCONFIG_DQS_DDL, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (sqlite3_db_config(c->db, options[i].option, options[i].value, NULL) != SQLITE_OK)
			return sqlite_conn_err(c, e, "hardening the database connection");
	}
	sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
	return OK;
}

struct result sqlite_conn_open(struct sqlite_conn *c, const char *path, bool writer, struct err *e)
{
	memset(c, 0, sizeof(*c));
	if (writer) { // SQLite would create it with the process's umask.
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_sys(e, "opening the database %s", path);
		fd_close(&fd);
	}
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	if (sqlite3_open_v2(path, &c->db, flags, NULL) != SQLITE_OK) {
		struct result r = err_set(e, ERR_SYSTEM, "opening the database %s: %s", path,
		                          c->db == NULL ? "out of memory" : sqlite3_errmsg(c->db));
		sqlite_conn_close(c);
		return r;
	}
	struct result r = harden(c, e);
	if (!failed(r))
		r = sqlite_conn_run(c, writer ? "PRAGMA journal_mode=WAL" : "PRAGMA query_only=1", e);
	if (!failed(r))
		r = sqlite_conn_run(c,
		                    "PRAGMA synchronous=FULL; PRAGMA cache_size=-2048; PRAGMA temp_store=MEMORY;"
		                    "PRAGMA journal_size_limit=16777216; PRAGMA cell_size_check=1",
		                    e);
	if (failed(r)) {
		sqlite_conn_close(c);
		return err_prefix(e, "database %s", path);
	}
	return OK;
}

void sqlite_conn_close(struct sqlite_conn *c)
{
	for (size_t i = 0; i < SQLITE_CONN_STATEMENTS; i++) {
		sqlite3_finalize(c->stmts[i].stmt);
		free(c->stmts[i].sql);
	}
	sqlite3_close(c->db);
	memset(c, 0, sizeof(*c));
}

static struct result user_version(struct sqlite_conn *c, int *out, struct err *e)
{
	struct sqlite_conn_stmt *s = sqlite_conn_take(c, "PRAGMA user_version", e);
	if (s == NULL)
		return FAIL;
	struct result r = OK;
	if (sqlite3_step(s->stmt) == SQLITE_ROW)
		*out = sqlite3_column_int(s->stmt, 0);
	else
		r = sqlite_conn_err(c, e, "reading the schema's version");
	sqlite_conn_give(c, s);
	return r;
}

struct result sqlite_conn_migrate(struct sqlite_conn *c, const char *const *migrations, struct err *e)
{
	int have = 0, known = 0;
	TRY(user_version(c, &have, e));
	while (migrations[known] != NULL)
		known++;
	if (have > known)
		return err_set(e, ERR_CONFLICT,
		               "the database has schema version %d and this program knows only up to %d: use the newer program",
		               have, known);
	for (int v = have; v < known; v++) {
		AUTO_FREE char *stamp = mem_printf("PRAGMA user_version=%d", v + 1);
		TRY(sqlite_conn_run(c, "BEGIN IMMEDIATE", e));
		if (failed(sqlite_conn_run(c, migrations[v], e)) || failed(sqlite_conn_run(c, stamp, e)) ||
		    failed(sqlite_conn_run(c, "COMMIT", e))) {
			sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
			return err_prefix(e, "schema version %d", v + 1);
		}
	}
	return OK;
}

static struct sqlite_conn_stmt *prepare(struct sqlite_conn *c, const char *sql, struct sqlite_conn_stmt *slot, struct err *e)
{
	bool keep = slot != NULL;
	if (!keep)
		slot = NEW(struct sqlite_conn_stmt);
	if (sqlite3_prepare_v3(c->db, sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, &slot->stmt, NULL) != SQLITE_OK) {
		if (failed(sqlite_conn_err(c, e, sql)) && !keep)
			free(slot);
		return NULL;
	}
	if (keep) {
		slot->sql = mem_strdup(sql);
		c->n_stmts++;
	}
	slot->busy = true;
	return slot;
}

struct sqlite_conn_stmt *sqlite_conn_take(struct sqlite_conn *c, const char *sql, struct err *e)
{
	size_t i = hash_text(sql) % SQLITE_CONN_STATEMENTS;
	while (c->stmts[i].sql != NULL) {
		struct sqlite_conn_stmt *s = &c->stmts[i];
		if (strcmp(s->sql, sql) == 0) {
			if (s->busy)
				return prepare(c, sql, NULL, e);
			s->busy = true;
			return s;
		}
		i = (i + 1) % SQLITE_CONN_STATEMENTS;
	}
	// A quarter stays free, so that probing stays short and always ends.
	return prepare(c, sql, c->n_stmts < SQLITE_CONN_STATEMENTS / 4 * 3 ? &c->stmts[i] : NULL, e);
}

void sqlite_conn_give(struct sqlite_conn *c, struct sqlite_conn_stmt *s)
{
	bool kept = s >= c->stmts && s < c->stmts + SQLITE_CONN_STATEMENTS;
	if (!kept) {
		sqlite3_finalize(s->stmt);
		free(s);
		return;
	}
	sqlite3_reset(s->stmt);
	sqlite3_clear_bindings(s->stmt);
	s->busy = false;
}

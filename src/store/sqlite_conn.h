// One SQLite connection with its prepared statements; used by one thread at a time.
#ifndef SALLYPORT_STORE_SQLITE_CONN_H
#define SALLYPORT_STORE_SQLITE_CONN_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define SQLITE_CONN_STATEMENTS 256 // kept prepared; a power of two

struct sqlite_conn_stmt {
	char *sql;
	sqlite3_stmt *stmt;
	bool busy; // being stepped: a nested use of the same text gets a statement of its own
};

struct sqlite_conn {
	sqlite3 *db;
	struct sqlite_conn_stmt stmts[SQLITE_CONN_STATEMENTS];
	size_t n_stmts;
};

// Opens `path` (creating it with mode 0600 when `writer`), hardened: DEFENSIVE, no trusted schema, no extensions, no ATTACH, no
// double-quoted strings. The writer is set to WAL and synchronous=FULL; others may only query.
MUST_USE struct result sqlite_conn_open(struct sqlite_conn *c, const char *path, bool writer, struct err *e);
void sqlite_conn_close(struct sqlite_conn *c);

// Brings the schema from PRAGMA user_version to the end of `migrations`, each in a transaction of its own.
MUST_USE struct result sqlite_conn_migrate(struct sqlite_conn *c, const char *const *migrations, struct err *e);

// A statement without parameters or rows: BEGIN, COMMIT, SAVEPOINT.
MUST_USE struct result sqlite_conn_run(struct sqlite_conn *c, const char *sql, struct err *e);

// A prepared statement for `sql`, to be given back. NULL on failure.
struct sqlite_conn_stmt *sqlite_conn_take(struct sqlite_conn *c, const char *sql, struct err *e);
void sqlite_conn_give(struct sqlite_conn *c, struct sqlite_conn_stmt *s);

// The connection's last failure as an error: full disk and I/O are ERR_SYSTEM, a damaged file ERR_CORRUPT, a violated
// constraint ERR_CONFLICT, a lock held by another process ERR_CONFLICT.
MUST_USE struct result sqlite_conn_err(struct sqlite_conn *c, struct err *e, const char *what);

#endif

// Statements inside a job: parameters in, rows out.
#include <stdarg.h>
#include <stdio.h>

#include "store/store_tx.h"

struct store_row {
	sqlite3_stmt *stmt;
};

static int bind_text(sqlite3_stmt *stmt, int at, struct span s)
{
	// An empty text is not a null; SQLite makes one of a NULL pointer.
	return sqlite3_bind_text64(stmt, at, s.data == NULL ? "" : s.data, s.len, SQLITE_STATIC, SQLITE_UTF8);
}

// Parameters are bound by name: SQLite numbers $1, $2 by their first appearance in the text.
static struct result bind(struct store_tx *tx, sqlite3_stmt *stmt, const char *params, va_list ap, struct err *e)
{
	int n = 0;
	for (const char *p = params; *p != '\0'; p++) {
		char name[16];
		snprintf(name, sizeof(name), "$%d", ++n);
		int at = sqlite3_bind_parameter_index(stmt, name);
		BUG_ON(at == 0);
		int rc = SQLITE_OK;
		struct span s;
		switch (*p) {
		case 's':
			rc = bind_text(stmt, at, va_arg(ap, struct span));
			break;
		case 'z':
			s = va_arg(ap, struct span);
			rc = s.data == NULL ? sqlite3_bind_null(stmt, at) : bind_text(stmt, at, s);
			break;
		case 'b':
			s = va_arg(ap, struct span);
			rc = sqlite3_bind_blob64(stmt, at, s.data == NULL ? "" : s.data, s.len, SQLITE_STATIC);
			break;
		case 'i':
			rc = sqlite3_bind_int64(stmt, at, va_arg(ap, int64_t));
			break;
		case 'n':
			rc = sqlite3_bind_null(stmt, at);
			break;
		default:
			BUG_ON(true);
		}
		if (rc != SQLITE_OK)
			return sqlite_conn_err(tx->conn, e, "binding a parameter");
	}
	BUG_ON(sqlite3_bind_parameter_count(stmt) != n);
	return OK;
}

static struct result run(struct store_tx *tx, struct err *e, bool (*each)(void *arg, const struct store_row *row), void *arg,
                         size_t *rows, const char *sql, const char *params, va_list ap)
{
	struct sqlite_conn_stmt *s = sqlite_conn_take(tx->conn, sql, e);
	if (s == NULL)
		return FAIL;
	struct result r = bind(tx, s->stmt, params, ap, e);
	int rc = failed(r) ? SQLITE_DONE : sqlite3_step(s->stmt);
	for (; rc == SQLITE_ROW; rc = sqlite3_step(s->stmt)) {
		(*rows)++;
		if (each == NULL || !each(arg, &(struct store_row){s->stmt}))
			break;
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		r = sqlite_conn_err(tx->conn, e, "database");
	sqlite_conn_give(tx->conn, s);
	return r;
}

struct result store_exec(struct store_tx *tx, struct err *e, const char *sql, const char *params, ...)
{
	size_t rows = 0;
	va_list ap;
	va_start(ap, params);
	struct result r = run(tx, e, NULL, NULL, &rows, sql, params, ap);
	va_end(ap);
	return r;
}

struct result store_exec_count(struct store_tx *tx, struct err *e, int64_t *changed, const char *sql, const char *params, ...)
{
	size_t rows = 0;
	va_list ap;
	va_start(ap, params);
	struct result r = run(tx, e, NULL, NULL, &rows, sql, params, ap);
	va_end(ap);
	*changed = failed(r) ? 0 : sqlite3_changes64(tx->conn->db);
	return r;
}

struct result store_query(struct store_tx *tx, struct err *e, bool (*each)(void *arg, const struct store_row *row), void *arg,
                          const char *sql, const char *params, ...)
{
	size_t rows = 0;
	va_list ap;
	va_start(ap, params);
	struct result r = run(tx, e, each, arg, &rows, sql, params, ap);
	va_end(ap);
	return r;
}

struct first {
	bool (*each)(void *arg, const struct store_row *row);
	void *arg;
};

static bool take_first(void *arg, const struct store_row *row)
{
	struct first *f = arg;
	(void)f->each(f->arg, row);
	return false;
}

struct result store_query_one(struct store_tx *tx, struct err *e, bool (*each)(void *arg, const struct store_row *row),
                              void *arg, const char *sql, const char *params, ...)
{
	size_t rows = 0;
	struct first f = {each, arg};
	va_list ap;
	va_start(ap, params);
	struct result r = run(tx, e, take_first, &f, &rows, sql, params, ap);
	va_end(ap);
	TRY(r);
	return rows == 0 ? err_set(e, ERR_NOT_FOUND, "not found") : OK;
}

struct span store_text(const struct store_row *r, int column)
{
	// Bytes after the value: for a text column the conversion decides the length.
	if (sqlite3_column_type(r->stmt, column) == SQLITE_NULL)
		return (struct span){NULL, 0};
	const void *p = sqlite3_column_blob(r->stmt, column);
	return span_from(p == NULL ? "" : p, (size_t)sqlite3_column_bytes(r->stmt, column));
}

int64_t store_int(const struct store_row *r, int column)
{
	return sqlite3_column_int64(r->stmt, column);
}

bool store_null(const struct store_row *r, int column)
{
	return sqlite3_column_type(r->stmt, column) == SQLITE_NULL;
}

// The store: SQL in transactions, grouped commits, off the loop's thread. SQLite now, PostgreSQL behind the same interface
// later, so statements keep to the portable subset ($1 parameters, no engine's own functions).
//
// A write job runs on the store's writer thread inside a savepoint of the current group; its `done` is called on the loop after
// the group's commit is durable (WAL, synchronous=FULL). Jobs run in the order in which they were handed in. A read job runs on
// a reader thread against the last committed state and never waits for an fsync.
#ifndef SALLYPORT_STORE_STORE_H
#define SALLYPORT_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "net/loop.h"

struct store;
struct store_tx;
struct store_row;

// Opens (creates) the database at `path` and applies `migrations` (NULL-terminated SQL texts; version n+1 is migrations[n])
// that it does not have yet. A database of a newer version than known is ERR_CONFLICT.
MUST_USE struct result store_open(struct loop *l, const char *path, const char *const *migrations, struct store **out,
                                  struct err *e);
void store_close(struct store **s); // waits for jobs handed in; their `done` is not called any more

// `run` (on the store's thread) returns FAIL to roll back just this job. `done` gets NULL when it is committed, else why not.
// `arg` must stay valid until `done`.
void store_write(struct store *s, struct result (*run)(struct store_tx *tx, void *arg, struct err *e),
                 void (*done)(void *arg, const struct err *e), void *arg);
void store_read(struct store *s, struct result (*run)(struct store_tx *tx, void *arg, struct err *e),
                void (*done)(void *arg, const struct err *e), void *arg);

// Parameters are given by a format: s = struct span (text), b = struct span (blob), i = int64_t, n = null (no argument),
// z = struct span, null when its data is NULL.
MUST_USE struct result store_exec(struct store_tx *tx, struct err *e, const char *sql, const char *params, ...);
// As store_exec; *changed is the number of rows changed.
MUST_USE struct result store_exec_count(struct store_tx *tx, struct err *e, int64_t *changed, const char *sql,
                                        const char *params, ...);
// Calls `each` for every row until it returns false.
MUST_USE struct result store_query(struct store_tx *tx, struct err *e, bool (*each)(void *arg, const struct store_row *row),
                                   void *arg, const char *sql, const char *params, ...);
// The first row through `each`; ERR_NOT_FOUND when there is none (the message says only that: the caller names the thing).
MUST_USE struct result store_query_one(struct store_tx *tx, struct err *e, bool (*each)(void *arg, const struct store_row *row),
                                       void *arg, const char *sql, const char *params, ...);

struct span store_text(const struct store_row *r, int column); // valid inside `each`; data NULL when null
int64_t store_int(const struct store_row *r, int column);
bool store_null(const struct store_row *r, int column);

#endif

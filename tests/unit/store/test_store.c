// The store: jobs that share a commit and not each other's failures, parameters and rows, what is durable and what is not.
#include "unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/store.h"

static const char *const migrations[] = {"CREATE TABLE t(k INTEGER PRIMARY KEY, v TEXT, b BLOB) STRICT;",
                                         "CREATE TABLE u(k TEXT NOT NULL PRIMARY KEY) STRICT;", NULL};

struct fixture {
	char dir[64], path[80];
	struct loop *loop;
	struct store *store;
	int pending;
};

struct job {
	struct fixture *f;
	int64_t k;
	const char *v;
	bool fail;
	int done; // order of its done; 0: not yet
	struct err err;
	bool failed;
	char text[64];
	int64_t number;
};

static int done_count;

static void opened(struct fixture *f)
{
	struct err e;
	assert_false(failed(loop_new(&f->loop, &e)));
	if (failed(store_open(f->loop, f->path, migrations, &f->store, &e)))
		fail_msg("%s", e.msg);
}

static void closed(struct fixture *f)
{
	store_close(&f->store);
	loop_free(f->loop);
}

static int setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	snprintf(f->dir, sizeof(f->dir), "/tmp/sp-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/t.db", f->dir);
	opened(f);
	done_count = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct err e;
	if (f->store != NULL)
		closed(f);
	assert_false(failed(file_remove_tree(f->dir, &e)));
	free(f);
	return 0;
}

static void job_done(void *arg, const struct err *e)
{
	struct job *j = arg;
	j->done = ++done_count;
	j->failed = e != NULL;
	if (e != NULL)
		j->err = *e;
	if (--j->f->pending == 0)
		loop_stop(j->f->loop);
}

static struct result insert(struct store_tx *tx, void *arg, struct err *e)
{
	struct job *j = arg;
	TRY(store_exec(tx, e, "INSERT INTO t(k, v) VALUES ($1, $2)", "iz", j->k, span_of(j->v)));
	return j->fail ? err_set(e, ERR_INVALID, "as asked") : OK;
}

static bool take_text(void *arg, const struct store_row *row)
{
	struct job *j = arg;
	struct span s = store_text(row, 0);
	snprintf(j->text, sizeof(j->text), s.data == NULL ? "(null)" : "%.*s", SPAN_FMT(s));
	j->number++;
	return true;
}

static struct result read_text(struct store_tx *tx, void *arg, struct err *e)
{
	struct job *j = arg;
	return store_query_one(tx, e, take_text, j, "SELECT v FROM t WHERE k = $1", "i", j->k);
}

static bool take_number(void *arg, const struct store_row *row)
{
	((struct job *)arg)->number = store_int(row, 0);
	return true;
}

static struct result count(struct store_tx *tx, void *arg, struct err *e)
{
	return store_query_one(tx, e, take_number, arg, "SELECT count(*) FROM t", "");
}

typedef struct result run_fn(struct store_tx *tx, void *arg, struct err *e);

static void write_all(struct fixture *f, run_fn *run, struct job *jobs, int n)
{
	f->pending = n;
	for (int i = 0; i < n; i++) {
		jobs[i].f = f;
		store_write(f->store, run, job_done, &jobs[i]);
	}
	loop_run(f->loop);
}

static void read_one(struct fixture *f, run_fn *run, struct job *j)
{
	f->pending = 1;
	j->f = f;
	store_read(f->store, run, job_done, j);
	loop_run(f->loop);
}

static int64_t rows(struct fixture *f)
{
	struct job j = {0};
	read_one(f, count, &j);
	assert_false(j.failed);
	return j.number;
}

static void jobs_fail_alone_and_end_in_order(void **state)
{
	struct fixture *f = *state;
	enum { N = 3000 };
	struct job *jobs = mem_zero(N * sizeof(*jobs));
	for (int i = 0; i < N; i++)
		jobs[i] = (struct job){.k = i % 10 == 9 ? 0 : i, .v = "x", .fail = i % 7 == 3};
	write_all(f, insert, jobs, N);
	int64_t good = 0;
	for (int i = 0; i < N; i++) {
		assert_int_equal(jobs[i].done, i + 1);
		bool clash = i % 10 == 9, asked = i % 7 == 3;
		assert_int_equal(jobs[i].failed, clash || asked);
		if (jobs[i].failed)
			assert_int_equal(jobs[i].err.kind, clash ? ERR_CONFLICT : ERR_INVALID);
		good += !jobs[i].failed;
	}
	assert_int_equal(rows(f), good);
	free(jobs);
}

static void texts_come_back_as_they_went(void **state)
{
	struct fixture *f = *state;
	struct job in[] = {
	        {.k = 1, .v = "caf\xc3\xa9"}, {.k = 2, .v = NULL}, {.k = 3, .v = ""}, {.k = 4, .v = "'); DROP TABLE t;--"}};
	write_all(f, insert, in, 4);
	const char *want[] = {"caf\xc3\xa9", "(null)", "", "'); DROP TABLE t;--"};
	for (int i = 0; i < 4; i++) {
		struct job out = {.k = i + 1};
		read_one(f, read_text, &out);
		assert_false(out.failed);
		assert_string_equal(out.text, want[i]);
	}
	struct job none = {.k = 99};
	read_one(f, read_text, &none);
	assert_true(none.failed && none.err.kind == ERR_NOT_FOUND);
}

static struct result nested(struct store_tx *tx, void *arg, struct err *e);

static bool again(void *arg, const struct store_row *row)
{
	struct job *j = arg;
	struct err e;
	(void)row;
	if (j->k-- > 0)
		assert_false(failed(nested((struct store_tx *)(uintptr_t)j->number, j, &e)));
	return true;
}

// The same statement inside its own rows.
static struct result nested(struct store_tx *tx, void *arg, struct err *e)
{
	((struct job *)arg)->number = (int64_t)(uintptr_t)tx;
	return store_query(tx, e, again, arg, "SELECT k FROM t WHERE k >= $2 AND k <= $1", "ii", INT64_C(5), INT64_C(0));
}

static void statements_nest(void **state)
{
	struct fixture *f = *state;
	struct job in[] = {{.k = 1}, {.k = 2}};
	write_all(f, insert, in, 2);
	struct job j = {.k = 3};
	read_one(f, nested, &j);
	assert_false(j.failed);
}

static struct result bad_sql(struct store_tx *tx, void *arg, struct err *e)
{
	(void)arg;
	return store_exec(tx, e, "INSERT INTO nonesuch VALUES (1)", "");
}

static struct result read_only(struct store_tx *tx, void *arg, struct err *e)
{
	(void)arg;
	return store_exec(tx, e, "DELETE FROM t", "");
}

static void refusals_are_errors(void **state)
{
	struct fixture *f = *state;
	struct job bad = {0}, reader = {0};
	write_all(f, bad_sql, &bad, 1);
	assert_true(bad.failed);
	read_one(f, read_only, &reader);
	assert_true(reader.failed);
}

static struct result limit_pages(struct store_tx *tx, void *arg, struct err *e)
{
	(void)arg;
	return store_query(tx, e, take_number, arg, "PRAGMA max_page_count = 12", "");
}

static struct result unlimit_pages(struct store_tx *tx, void *arg, struct err *e)
{
	return store_query(tx, e, take_number, arg, "PRAGMA max_page_count = 100000", "");
}

// A full disk fails whom it hits, and the store goes on when there is room again.
static void a_full_disk_fails_jobs_and_no_more(void **state)
{
	struct fixture *f = *state;
	char big[4000];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	struct job limit = {0};
	write_all(f, limit_pages, &limit, 1);
	assert_false(limit.failed);
	struct job jobs[40];
	for (int i = 0; i < 40; i++)
		jobs[i] = (struct job){.k = i, .v = big};
	write_all(f, insert, jobs, 40);
	int64_t good = 0;
	for (int i = 0; i < 40; i++) {
		good += !jobs[i].failed;
		if (jobs[i].failed)
			assert_int_equal(jobs[i].err.kind, ERR_SYSTEM);
	}
	assert_true(good < 40);
	assert_int_equal(rows(f), good);
	struct job more = {0}, last = {.k = 1000, .v = "fits"};
	write_all(f, unlimit_pages, &more, 1);
	write_all(f, insert, &last, 1);
	assert_false(last.failed);
	assert_int_equal(rows(f), good + 1);
}

static void what_is_done_survives_a_kill(void **state)
{
	struct fixture *f = *state;
	closed(f);
	int told[2];
	assert_int_equal(pipe(told), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		opened(f);
		for (int64_t k = 0;; k++) {
			struct job j = {.k = k, .v = "durable"};
			write_all(f, insert, &j, 1);
			if (j.failed || write(told[1], &k, sizeof(k)) != sizeof(k))
				_exit(1);
		}
	}
	close(told[1]);
	int64_t last = -1, k;
	for (int i = 0; i < 50; i++)
		assert_int_equal(read(told[0], &last, sizeof(last)), sizeof(last));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	while (read(told[0], &k, sizeof(k)) == sizeof(k))
		last = k;
	close(told[0]);
	opened(f);
	assert_true(rows(f) >= last + 1);
}

static void other_schemas_and_files_are_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const fewer[] = {"CREATE TABLE t(k INTEGER PRIMARY KEY);", NULL};
	struct err e;
	struct store *s = NULL;
	assert_true(failed(store_open(f->loop, f->path, fewer, &s, &e)));
	assert_int_equal(e.kind, ERR_CONFLICT);
	char path[96];
	snprintf(path, sizeof(path), "%s/junk.db", f->dir);
	char junk[8192];
	memset(junk, 'j', sizeof(junk));
	assert_false(failed(file_create(path, span_from(junk, sizeof(junk)), 0600, &e)));
	assert_true(failed(store_open(f->loop, path, migrations, &s, &e)));
	assert_int_equal(e.kind, ERR_CORRUPT);
	snprintf(path, sizeof(path), "%s/none/x.db", f->dir);
	assert_true(failed(store_open(f->loop, path, migrations, &s, &e)));
}

static void closing_finishes_what_was_handed_in(void **state)
{
	struct fixture *f = *state;
	static struct job jobs[500];
	for (int i = 0; i < 500; i++) {
		jobs[i] = (struct job){.f = f, .k = i, .v = "x"};
		store_write(f->store, insert, job_done, &jobs[i]);
	}
	closed(f);
	assert_int_equal(done_count, 0);
	opened(f);
	assert_int_equal(rows(f), 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(jobs_fail_alone_and_end_in_order, setup, teardown),
	        cmocka_unit_test_setup_teardown(texts_come_back_as_they_went, setup, teardown),
	        cmocka_unit_test_setup_teardown(statements_nest, setup, teardown),
	        cmocka_unit_test_setup_teardown(refusals_are_errors, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_full_disk_fails_jobs_and_no_more, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_is_done_survives_a_kill, setup, teardown),
	        cmocka_unit_test_setup_teardown(other_schemas_and_files_are_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(closing_finishes_what_was_handed_in, setup, teardown),
	};
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}

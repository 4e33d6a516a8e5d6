// The store's two threads and what goes between them and the loop.
#include "store/store.h"

#include <pthread.h>
#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/store_tx.h"

// So many jobs share one commit at most: it bounds how long the first of them waits for the others' statements.
#define GROUP_MAX 1024

struct job {
	struct job *next;
	struct result (*run)(struct store_tx *tx, void *arg, struct err *e);
	void (*done)(void *arg, const struct err *e);
	void *arg;
	bool failed;
	struct err err;
};

struct queue {
	struct job *head, **tail;
};

struct lane { // a thread with its connection and what waits for it
	struct store *store;
	pthread_t thread;
	pthread_cond_t wake;
	struct queue waiting;
	struct sqlite_conn conn;
	bool started;
};

struct store {
	pthread_mutex_t lock; // guards both lanes' `waiting`, `finished`, `closing`
	struct lane writer, reader;
	struct queue finished;
	bool closing;
	struct loop_wake *wake;
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_push(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
}

static struct job *queue_pop(struct queue *q)
{
	struct job *j = q->head;
	if (j == NULL)
		return NULL;
	q->head = j->next;
	if (q->head == NULL)
		q->tail = &q->head;
	return j;
}

// Waits for jobs and takes up to GROUP_MAX of them; an empty group means that the store is being closed.
static struct queue lane_take(struct lane *lane)
{
	struct queue group;
	queue_init(&group);
	pthread_mutex_lock(&lane->store->lock);
	while (lane->waiting.head == NULL && !lane->store->closing)
		pthread_cond_wait(&lane->wake, &lane->store->lock);
	for (size_t n = 0; n < GROUP_MAX && lane->waiting.head != NULL; n++)
		queue_push(&group, queue_pop(&lane->waiting));
	pthread_mutex_unlock(&lane->store->lock);
	return group;
}

static void lane_finish(struct lane *lane, struct queue *group)
{
	struct store *s = lane->store;
	pthread_mutex_lock(&s->lock);
	for (struct job *j = queue_pop(group); j != NULL; j = queue_pop(group))
		queue_push(&s->finished, j);
	pthread_mutex_unlock(&s->lock);
	loop_wake(s->wake);
}

static void job_fail(struct job *j, const struct err *e)
{
	j->failed = true;
	j->err = *e;
}

static void rollback(struct sqlite_conn *c)
{
	struct err ignored;
	if (!sqlite3_get_autocommit(c->db) && failed(sqlite_conn_run(c, "ROLLBACK", &ignored)))
		log_error("store.rollback", "error=%s", ignored.msg);
}

// Runs one job in its savepoint. False when the engine has given up the whole transaction (disk full, I/O error).
static bool run_in_savepoint(struct sqlite_conn *c, struct job *j)
{
	struct store_tx tx = {c};
	struct err e;
	if (failed(sqlite_conn_run(c, "SAVEPOINT job", &j->err))) {
		j->failed = true;
		return !sqlite3_get_autocommit(c->db);
	}
	j->failed = failed(j->run(&tx, j->arg, &j->err));
	if (sqlite3_get_autocommit(c->db)) {
		if (!j->failed)
			j->failed = failed(err_set(&j->err, ERR_SYSTEM, "the database gave up the transaction"));
		return false;
	}
	if (j->failed && failed(sqlite_conn_run(c, "ROLLBACK TO job", &e)))
		return false;
	if (failed(sqlite_conn_run(c, "RELEASE job", &e))) {
		if (!j->failed)
			job_fail(j, &e);
		return false;
	}
	return true;
}

// Runs the jobs at the head of `group` in one transaction and moves them to `over`; stops early when the engine gives up.
static void write_group(struct sqlite_conn *c, struct queue *group, struct queue *over)
{
	struct err e;
	struct job *first = NULL;
	bool intact = !failed(sqlite_conn_run(c, "BEGIN IMMEDIATE", &e));
	if (!intact) {
		struct job *j = queue_pop(group);
		BUG_ON(j == NULL);
		job_fail(j, &e);
		queue_push(over, j);
		return;
	}
	for (struct job *j = queue_pop(group); j != NULL; j = queue_pop(group)) {
		if (first == NULL)
			first = j;
		intact = run_in_savepoint(c, j);
		queue_push(over, j);
		if (!intact) {
			e = j->err;
			break;
		}
	}
	if (intact && failed(sqlite_conn_run(c, "COMMIT", &e)))
		intact = false;
	if (intact)
		return;
	rollback(c);
	for (struct job *j = first; j != NULL; j = j->next) { // none of them is stored
		if (!j->failed)
			job_fail(j, &e);
	}
}

static void *writer_main(void *arg)
{
	struct lane *lane = arg;
	for (;;) {
		struct queue group = lane_take(lane), over;
		if (group.head == NULL)
			return NULL;
		queue_init(&over);
		while (group.head != NULL)
			write_group(&lane->conn, &group, &over);
		lane_finish(lane, &over);
	}
}

static void *reader_main(void *arg)
{
	struct lane *lane = arg;
	struct store_tx tx = {&lane->conn};
	for (;;) {
		struct queue group = lane_take(lane), over;
		if (group.head == NULL)
			return NULL;
		for (struct job *j = queue_pop(&group); j != NULL; j = queue_pop(&group)) {
			queue_init(&over);
			j->failed = failed(sqlite_conn_run(&lane->conn, "BEGIN", &j->err));
			if (!j->failed)
				j->failed = failed(j->run(&tx, j->arg, &j->err));
			rollback(&lane->conn);
			queue_push(&over, j);
			lane_finish(lane, &over);
		}
	}
}

static void deliver(void *arg)
{
	struct store *s = arg;
	pthread_mutex_lock(&s->lock);
	struct job *j = s->finished.head;
	queue_init(&s->finished);
	pthread_mutex_unlock(&s->lock);
	while (j != NULL) {
		struct job *next = j->next;
		j->done(j->arg, j->failed ? &j->err : NULL);
		free(j);
		j = next;
	}
}

static void submit(struct lane *lane, struct result (*run)(struct store_tx *tx, void *arg, struct err *e),
                   void (*done)(void *arg, const struct err *e), void *arg)
{
	struct job *j = NEW(struct job);
	j->run = run;
	j->done = done;
	j->arg = arg;
	pthread_mutex_lock(&lane->store->lock);
	queue_push(&lane->waiting, j);
	pthread_cond_signal(&lane->wake);
	pthread_mutex_unlock(&lane->store->lock);
}

void store_write(struct store *s, struct result (*run)(struct store_tx *tx, void *arg, struct err *e),
                 void (*done)(void *arg, const struct err *e), void *arg)
{
	submit(&s->writer, run, done, arg);
}

void store_read(struct store *s, struct result (*run)(struct store_tx *tx, void *arg, struct err *e),
                void (*done)(void *arg, const struct err *e), void *arg)
{
	submit(&s->reader, run, done, arg);
}

// Signals belong to the loop's thread.
static struct result lane_start(struct lane *lane, void *(*entry)(void *arg), struct err *e)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&lane->thread, NULL, entry, lane);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return err_set(e, ERR_SYSTEM, "starting a store thread: %s", strerror(rc));
	lane->started = true;
	return OK;
}

static void lane_init(struct lane *lane, struct store *s)
{
	lane->store = s;
	pthread_cond_init(&lane->wake, NULL);
	queue_init(&lane->waiting);
}

struct result store_open(struct loop *l, const char *path, const char *const *migrations, struct store **out, struct err *e)
{
	struct store *s = NEW(struct store);
	pthread_mutex_init(&s->lock, NULL);
	lane_init(&s->writer, s);
	lane_init(&s->reader, s);
	queue_init(&s->finished);
	s->wake = loop_wake_start(l, deliver, s);
	struct result r = sqlite_conn_open(&s->writer.conn, path, true, e);
	if (!failed(r))
		r = sqlite_conn_migrate(&s->writer.conn, migrations, e);
	if (!failed(r))
		r = sqlite_conn_open(&s->reader.conn, path, false, e);
	if (!failed(r))
		r = lane_start(&s->writer, writer_main, e);
	if (!failed(r))
		r = lane_start(&s->reader, reader_main, e);
	if (failed(r)) {
		store_close(&s);
		return r;
	}
	*out = s;
	return OK;
}

static void lane_stop(struct lane *lane)
{
	if (lane->started) {
		pthread_cond_signal(&lane->wake);
		pthread_join(lane->thread, NULL);
	}
	sqlite_conn_close(&lane->conn);
	pthread_cond_destroy(&lane->wake);
}

void store_close(struct store **store)
{
	struct store *s = *store;
	if (s == NULL)
		return;
	*store = NULL;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_mutex_unlock(&s->lock);
	lane_stop(&s->reader);
	lane_stop(&s->writer);
	loop_wake_cancel(&s->wake);
	for (struct job *j = queue_pop(&s->finished); j != NULL; j = queue_pop(&s->finished))
		free(j);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

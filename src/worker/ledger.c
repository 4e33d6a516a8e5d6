#include "worker/ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/store.h"

// A result that control has stored is kept for the case that it comes up again; its text not for ever.
#define KEEP_BODIES_US (INT64_C(7) * 86400 * 1000000)

static const char *const migrations[] = {
        "CREATE TABLE journal(id TEXT NOT NULL) STRICT;"
        "CREATE TABLE calls(session TEXT NOT NULL, id TEXT NOT NULL, item TEXT NOT NULL, attempt INTEGER NOT NULL,"
        " state INTEGER NOT NULL, body TEXT, posted_at INTEGER, at INTEGER NOT NULL, PRIMARY KEY(session, id)) STRICT;"
        "CREATE TABLE items(id TEXT PRIMARY KEY, session TEXT NOT NULL, sallyport INTEGER NOT NULL,"
        " lease_until INTEGER NOT NULL, ended INTEGER NOT NULL) STRICT;"
        "CREATE INDEX items_of_session ON items(session);",
        NULL,
};

// One job of the store with copies of what it needs. The ledger frees it when the job is over, or when it closes.
struct ledger_op {
	struct ledger *l;
	struct ledger_op *next, **at;
	char *session, *id, *item;
	char *body;
	int64_t number;
	struct ledger_entry entry;
	json_t *ids;
	void (*written)(void *arg, const struct err *e);
	void (*found)(void *arg, const struct ledger_entry *entry, const struct err *e);
	void (*listed)(void *arg, const json_t *ids, const struct err *e);
	void *arg;
	bool cancelled;
};

struct ledger {
	struct store *store;
	struct ledger_op *ops;
	char id[ID_MAX];
	void (*opened)(void *arg, const char *id, const struct err *e);
	void *arg;
};

static char *copy_or_null(const char *s)
{
	return s == NULL ? NULL : mem_strdup(s);
}

static struct ledger_op *op_new(struct ledger *l, const char *session, const char *id, const char *item)
{
	struct ledger_op *op = NEW(struct ledger_op);
	op->l = l;
	op->session = copy_or_null(session);
	op->id = copy_or_null(id);
	op->item = copy_or_null(item);
	op->next = l->ops;
	op->at = &l->ops;
	if (op->next != NULL)
		op->next->at = &op->next;
	l->ops = op;
	return op;
}

static void op_free(struct ledger_op *op)
{
	*op->at = op->next;
	if (op->next != NULL)
		op->next->at = op->at;
	free(op->session);
	free(op->id);
	free(op->item);
	free(op->body);
	json_decref(op->ids);
	free(op);
}

void ledger_cancel(struct ledger_op **op)
{
	if (*op != NULL)
		(*op)->cancelled = true;
	*op = NULL;
}

static void written(void *arg, const struct err *e)
{
	struct ledger_op *op = arg;
	if (e != NULL)
		log_error("worker.journal_failed", "error=%s", LOG_Q(span_of(e->msg)));
	if (!op->cancelled && op->written != NULL)
		op->written(op->arg, e);
	op_free(op);
}

// --- opening

static bool take_journal_id(void *arg, const struct store_row *row)
{
	struct ledger *l = arg;
	struct span id = store_text(row, 0);
	if (id.len > 0 && id.len < sizeof(l->id))
		memcpy(l->id, id.data, id.len);
	return false;
}

static struct result run_open(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	struct ledger *l = op->l;
	TRY(store_query(tx, e, take_journal_id, l, "SELECT id FROM journal LIMIT 1", ""));
	if (l->id[0] == '\0') {
		id_make(l->id, "jrnl");
		TRY(store_exec(tx, e, "INSERT INTO journal(id) VALUES ($1)", "s", span_of(l->id)));
	}
	return store_exec(tx, e, "UPDATE calls SET body = NULL WHERE posted_at IS NOT NULL AND posted_at < $1", "i",
	                  clock_utc_us() - KEEP_BODIES_US);
}

static void run_opened(void *arg, const struct err *e)
{
	struct ledger *l = arg;
	l->opened(l->arg, l->id, e);
}

struct result ledger_open(struct loop *loop, const char *path, void (*opened)(void *arg, const char *id, const struct err *e),
                          void *arg, struct ledger **out, struct err *e)
{
	struct ledger *l = NEW(struct ledger);
	if (failed(store_open(loop, path, migrations, &l->store, e))) {
		free(l);
		return FAIL;
	}
	l->opened = opened;
	l->arg = arg;
	struct ledger_op *op = op_new(l, NULL, NULL, NULL);
	op->written = run_opened;
	op->arg = l;
	store_write(l->store, run_open, written, op);
	*out = l;
	return OK;
}

void ledger_close(struct ledger **l)
{
	if (*l == NULL)
		return;
	store_close(&(*l)->store);
	for (struct ledger_op *op = (*l)->ops, *next; op != NULL; op = next) {
		next = op->next;
		op_free(op);
	}
	free(*l);
	*l = NULL;
}

// --- calls

static bool take_entry(void *arg, const struct store_row *row)
{
	struct ledger_op *op = arg;
	struct span body = store_text(row, 2);
	op->entry.state = store_int(row, 0) == LEDGER_OUTCOME ? LEDGER_OUTCOME : LEDGER_INTENT;
	op->entry.attempt = store_int(row, 1);
	op->body = body.data == NULL ? NULL : span_dup(body);
	op->entry.body = op->body == NULL ? (struct span){0} : span_from(op->body, body.len);
	return false;
}

static struct result run_find(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	return store_query(tx, e, take_entry, op, "SELECT state, attempt, body FROM calls WHERE session = $1 AND id = $2", "ss",
	                   span_of(op->session), span_of(op->id));
}

static void found(void *arg, const struct err *e)
{
	struct ledger_op *op = arg;
	if (!op->cancelled)
		op->found(op->arg, &op->entry, e);
	op_free(op);
}

struct ledger_op *ledger_find(struct ledger *l, const struct ledger_call *c,
                              void (*done)(void *arg, const struct ledger_entry *entry, const struct err *e), void *arg)
{
	struct ledger_op *op = op_new(l, c->session, c->id, c->item);
	op->found = done;
	op->arg = arg;
	store_read(l->store, run_find, found, op);
	return op;
}

static struct result run_intent(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	return store_exec(tx, e,
	                  "INSERT INTO calls(session, id, item, attempt, state, at) VALUES ($1, $2, $3, $4, $5, $6)"
	                  " ON CONFLICT(session, id) DO UPDATE SET item = excluded.item, attempt = excluded.attempt",
	                  "sssiii", span_of(op->session), span_of(op->id), span_of(op->item), op->number,
	                  (int64_t)LEDGER_INTENT, clock_utc_us());
}

static struct ledger_op *write_call(struct ledger *l, const struct ledger_call *c,
                                    struct result (*run)(struct store_tx *tx, void *arg, struct err *e),
                                    void (*done)(void *arg, const struct err *e), void *arg)
{
	struct ledger_op *op = op_new(l, c->session, c->id, c->item);
	op->written = done;
	op->arg = arg;
	store_write(l->store, run, written, op);
	return op;
}

struct ledger_op *ledger_intent(struct ledger *l, const struct ledger_call *c, int64_t attempt,
                                void (*done)(void *arg, const struct err *e), void *arg)
{
	struct ledger_op *op = op_new(l, c->session, c->id, c->item);
	op->number = attempt;
	op->written = done;
	op->arg = arg;
	store_write(l->store, run_intent, written, op);
	return op;
}

static struct result run_outcome(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	return store_exec(tx, e,
	                  "INSERT INTO calls(session, id, item, attempt, state, body, at) VALUES ($1, $2, $3, 0, $4, $5, $6)"
	                  " ON CONFLICT(session, id) DO UPDATE SET state = excluded.state, body = excluded.body",
	                  "sssisi", span_of(op->session), span_of(op->id), span_of(op->item), (int64_t)LEDGER_OUTCOME,
	                  span_of(op->body), clock_utc_us());
}

struct ledger_op *ledger_outcome(struct ledger *l, const struct ledger_call *c, struct span body,
                                 void (*done)(void *arg, const struct err *e), void *arg)
{
	struct ledger_op *op = op_new(l, c->session, c->id, c->item);
	op->body = span_dup(body);
	op->written = done;
	op->arg = arg;
	store_write(l->store, run_outcome, written, op);
	return op;
}

static struct result run_withdraw(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	return store_exec(tx, e, "DELETE FROM calls WHERE session = $1 AND id = $2 AND state = $3", "ssi", span_of(op->session),
	                  span_of(op->id), (int64_t)LEDGER_INTENT);
}

void ledger_withdraw(struct ledger *l, const struct ledger_call *c)
{
	write_call(l, c, run_withdraw, NULL, NULL);
}

static struct result run_posted(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	return store_exec(tx, e, "UPDATE calls SET posted_at = $1 WHERE session = $2 AND id = $3", "iss", clock_utc_us(),
	                  span_of(op->session), span_of(op->id));
}

void ledger_posted(struct ledger *l, const struct ledger_call *c)
{
	write_call(l, c, run_posted, NULL, NULL);
}

// --- work items

static struct result run_item(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	return store_exec(tx, e,
	                  "INSERT INTO items(id, session, sallyport, lease_until, ended) VALUES ($1, $2, $3, 0, 0)"
	                  " ON CONFLICT(id) DO UPDATE SET sallyport = excluded.sallyport, lease_until = 0, ended = 0",
	                  "ssi", span_of(op->item), span_of(op->session), op->number);
}

struct ledger_op *ledger_item(struct ledger *l, const char *item, const char *session, bool sallyport,
                              void (*done)(void *arg, const struct err *e), void *arg)
{
	struct ledger_op *op = op_new(l, session, NULL, item);
	op->number = sallyport;
	op->written = done;
	op->arg = arg;
	store_write(l->store, run_item, written, op);
	return op;
}

static struct result run_item_lease(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	return store_exec(tx, e, "UPDATE items SET lease_until = $1 WHERE id = $2", "is", op->number, span_of(op->item));
}

void ledger_item_lease(struct ledger *l, const char *item, int64_t until_utc_us)
{
	struct ledger_op *op = op_new(l, NULL, NULL, item);
	op->number = until_utc_us;
	store_write(l->store, run_item_lease, written, op);
}

static struct result run_item_ended(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	return store_exec(tx, e, "UPDATE items SET ended = 1 WHERE id = $1", "s", span_of(op->item));
}

void ledger_item_ended(struct ledger *l, const char *item)
{
	struct ledger_op *op = op_new(l, NULL, NULL, item);
	store_write(l->store, run_item_ended, written, op);
}

static bool take_item(void *arg, const struct store_row *row)
{
	struct ledger_op *op = arg;
	struct span id = store_text(row, 0);
	json_object_setn_new(op->ids, id.data, id.len, json_true());
	return true;
}

static struct result run_items(struct store_tx *tx, void *arg, struct err *e)
{
	struct ledger_op *op = arg;
	op->ids = json_object();
	if (op->session != NULL)
		return store_query(tx, e, take_item, op, "SELECT id FROM items WHERE session = $1", "s", span_of(op->session));
	return store_query(tx, e, take_item, op, "SELECT id FROM items WHERE ended = 0 AND sallyport = 1 AND lease_until > $1",
	                   "i", clock_utc_us());
}

static void listed(void *arg, const struct err *e)
{
	struct ledger_op *op = arg;
	if (!op->cancelled)
		op->listed(op->arg, op->ids, e);
	op_free(op);
}

struct ledger_op *ledger_items(struct ledger *l, const char *session,
                               void (*done)(void *arg, const json_t *ids, const struct err *e), void *arg)
{
	struct ledger_op *op = op_new(l, session, NULL, NULL);
	op->listed = done;
	op->arg = arg;
	store_read(l->store, run_items, listed, op);
	return op;
}

// History and stream of a session's events.
#include "base/clock.h"
#include "base/mem.h"
#include "control/calls.h"
#include "control/event_row.h"
#include "control/events.h"
#include "control/page.h"
#include "control/schema.h"
#include "control/stream.h"
#include "control/work_tx.h"

#define LIST_LIMIT 1000

struct listing {
	struct page page;
	char *types;      // ",a,b,", or ""
	int64_t from, to; // of processed_at; 0 and INT64_MAX: any, waiting ones too
	bool worker;      // asked with a worker's credential: calls are exposed to its lease
	bool to_expose;   // there are calls in the page that must be stored as exposed before it goes out
	bool write;       // now we may
	int64_t num, first_seq, last_seq;
	bool at_least_once, full;
	char live[EPOCH_MAX];
};

static bool take_session(void *arg, const struct store_row *row)
{
	struct listing *li = arg;
	li->num = store_int(row, 0);
	li->at_least_once = store_int(row, 2) != 0;
	memset(li->live, 0, sizeof(li->live));
	struct span environment = store_text(row, 1);
	memcpy(li->live, environment.data, environment.len < ID_MAX ? environment.len : ID_MAX - 1);
	return true;
}

// Loads the session; leaves in li->live the lease for which a worker reads.
static struct result load(struct listing *li, struct op *op, struct store_tx *tx, struct err *e)
{
	const char *id = op->r->segments[2];
	struct result r = store_query_one(tx, e, take_session, li,
	                                  "SELECT s.num, s.environment, v.at_least_once FROM sessions s"
	                                  " JOIN environments v ON v.id = s.environment WHERE s.id = $1",
	                                  "s", span_of(id));
	if (failed(r))
		return e->kind == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no session %.64s", id) : r;
	TRY(events_allowed(&op->r->who, id, li->live, e));
	if (!li->worker)
		return OK;
	TRY(work_tx_live_epoch(tx, li->num, li->live, e));
	if (op->r->who.kind == AUTH_TOKEN) {
		char mine[EPOCH_MAX];
		work_epoch(mine, op->r->who.id, op->r->who.epoch);
		if (strcmp(mine, li->live) != 0)
			return err_set(e, ERR_UNAUTHENTICATED, "the lease of this token has ended");
	}
	return OK;
}

static bool take_event(void *arg, const struct store_row *row)
{
	struct listing *li = arg;
	int64_t seq = schema_seq(store_int(row, 0));
	if (!page_item(&li->page, seq, (struct span){"", 0}))
		return false;
	if (li->page.n == 1)
		li->first_seq = li->last_seq = seq;
	li->first_seq = seq < li->first_seq ? seq : li->first_seq;
	li->last_seq = seq > li->last_seq ? seq : li->last_seq;
	li->full |= !event_row_text(li->page.out, store_text(row, 2), store_int(row, 1));
	return !li->full;
}

#define SELECT_EVENTS                                                                        \
	"SELECT e.pos, e.processed_at, e.body FROM events e WHERE e.pos > $1 AND e.pos < $2" \
	" AND ($3 = '' OR $3 LIKE '%,' || e.type || ',%') AND ($6 = 0 OR e.processed_at BETWEEN $4 AND $5)"
#define NOT_ANOTHERS                                                                                                \
	" AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.session = $8 AND c.id = e.id AND c.open = 1 AND c.kind < 2" \
	" AND ($9 = '' OR (c.epoch IS NOT NULL AND c.epoch <> $9)))"
#define UP " ORDER BY e.pos LIMIT $7"
#define DOWN " ORDER BY e.pos DESC LIMIT $7"

static struct result select_events(struct listing *li, struct store_tx *tx, struct err *e)
{
	const struct page *p = &li->page;
	bool up = page_reads_up(p);
	int64_t low = schema_pos(li->num, 0) - 1, high = schema_pos(li->num + 1, 0);
	if (!p->from_start)
		*(up ? &low : &high) = schema_pos(li->num, p->at & SCHEMA_SEQ_MAX);
	int64_t filter = li->from > 0 || li->to < INT64_MAX;
	if (!li->worker || li->at_least_once)
		return store_query(tx, e, take_event, li, up ? SELECT_EVENTS UP : SELECT_EVENTS DOWN, "iisiiii", low, high,
		                   span_of(li->types), li->from, li->to, filter, p->limit + 1);
	return store_query(tx, e, take_event, li, up ? SELECT_EVENTS NOT_ANOTHERS UP : SELECT_EVENTS NOT_ANOTHERS DOWN,
	                   "iisiiiiis", low, high, span_of(li->types), li->from, li->to, filter, p->limit + 1, li->num,
	                   span_of(li->live));
}

static bool see_row(void *arg, const struct store_row *row)
{
	(void)row;
	*(bool *)arg = true;
	return false;
}

static struct result expose(struct listing *li, struct op *op, struct store_tx *tx, struct err *e)
{
	li->to_expose = false;
	if (!li->worker || li->live[0] == '\0' || li->page.n == 0)
		return OK;
	if (li->write)
		return calls_expose(op, tx, li->num, op->r->segments[2], li->first_seq, li->last_seq, li->live, e);
	return store_query(tx, e, see_row, &li->to_expose,
	                   "SELECT 1 FROM calls WHERE session = $1 AND open = 1 AND kind < 2 AND epoch IS NULL"
	                   " AND seq BETWEEN $2 AND $3 LIMIT 1",
	                   "iii", li->num, li->first_seq, li->last_seq);
}

static struct result run_list(struct op *op, struct store_tx *tx, struct err *e)
{
	struct listing *li = op->arg;
	TRY(load(li, op, tx, e));
	bool ok = page_begin(&li->page, &op->answer);
	TRY(select_events(li, tx, e));
	ok = ok && !li->full && page_end(&li->page, false);
	if (!ok)
		return err_set(e, ERR_TOO_LARGE, "limit: the page is too large, ask for fewer events");
	return expose(li, op, tx, e);
}

static void release(void *arg)
{
	struct listing *li = arg;
	free(li->types);
	free(li);
}

// The page holds calls that its reader's lease has not been shown: again, as a change that stores so.
static void read_done(struct op *op)
{
	struct listing *li = op->arg;
	if (!li->to_expose || op->r == NULL)
		return;
	struct op *again = op_new(op->c, STEAL(op->r), run_list);
	again->arg = STEAL(op->arg);
	again->release = release;
	op->release = NULL;
	li->write = true;
	li->page.n = 0;
	li->page.more = false;
	op_submit(again);
}

static struct result parse_times(struct listing *li, const struct request *r, struct err *e)
{
	int64_t gt, gte, lt, lte;
	TRY(request_param_time(r, "created_at[gt]", -1, &gt, e));
	TRY(request_param_time(r, "created_at[gte]", 0, &gte, e));
	TRY(request_param_time(r, "created_at[lt]", INT64_MAX, &lt, e));
	TRY(request_param_time(r, "created_at[lte]", INT64_MAX, &lte, e));
	li->from = gt + 1 > gte ? gt + 1 : gte;
	li->to = lt != INT64_MAX && lt - 1 < lte ? lt - 1 : lte;
	return OK;
}

static struct result parse_types(struct listing *li, const struct request *r, struct err *e)
{
	AUTO_BUF struct buf types;
	buf_init(&types, 8192);
	bool ok = true;
	const char *type;
	for (size_t i = 0; (type = request_param_nth(r, "types", i)) != NULL; i++) {
		if (strpbrk(type, ",%") != NULL)
			return err_set(e, ERR_INVALID, "types: not an event type: %.64s", type);
		ok = ok && buf_add_str(&types, i == 0 ? "," : "") && buf_add_str(&types, type) && buf_add_str(&types, ",");
	}
	if (!ok)
		return err_set(e, ERR_INVALID, "types: too many");
	li->types = mem_strdup(buf_str(&types));
	return OK;
}

void events_list(struct request *r)
{
	struct err e;
	struct listing *li = NEW(struct listing);
	if (failed(page_parse(&li->page, r, LIST_LIMIT, LIST_LIMIT, true, true, &e)) || failed(parse_times(li, r, &e)) ||
	    failed(parse_types(li, r, &e))) {
		release(li);
		request_refuse(r, &e, NULL);
		return;
	}
	li->worker = r->who.kind != AUTH_API;
	struct op *op = op_new(r->c, r, run_list);
	op->arg = li;
	op->release = release;
	op->published = read_done;
	op_read(op);
}

// --- stream

struct opening {
	struct listing listing; // the same right to read
	unsigned int previews;
};

static struct result run_open(struct op *op, struct store_tx *tx, struct err *e)
{
	struct opening *o = op->arg;
	return load(&o->listing, op, tx, e);
}

static void open_stream(struct op *op)
{
	struct opening *o = op->arg;
	if (op->r == NULL || op->r->x == NULL)
		return;
	// The credential may have ended while we looked.
	if (auth_find(op->c->auth, http_exchange_request(op->r->x)) == NULL) {
		request_refuse_kind(STEAL(op->r), ERR_UNAUTHENTICATED, "this credential has been revoked");
		return;
	}
	struct request *r = STEAL(op->r);
	stream_hub_open(op->c->hub, r, r->segments[2], o->previews);
}

void events_stream(struct request *r)
{
	unsigned int previews = 0;
	const char *value;
	for (size_t i = 0; (value = request_param_nth(r, "event_deltas", i)) != NULL; i++) {
		unsigned int one = strcmp(value, "agent.message") == 0    ? STREAM_PREVIEW_MESSAGE
		                   : strcmp(value, "agent.thinking") == 0 ? STREAM_PREVIEW_THINKING
		                                                          : 0;
		if (one == 0 || i >= 100) {
			request_refuse_kind(r, ERR_INVALID,
			                    "event_deltas[]: must be agent.message or agent.thinking, at most 100 times");
			return;
		}
		previews |= one;
	}
	struct op *op = op_new(r->c, r, run_open);
	struct opening *o = NEW(struct opening);
	o->previews = previews;
	o->listing.worker = r->who.kind != AUTH_API;
	op->arg = o;
	op->release = free;
	op->published = open_stream;
	op_read(op);
}

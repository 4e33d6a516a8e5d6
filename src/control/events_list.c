// History and stream of a session's events.
#include <stdio.h>

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
	int64_t end; // a list from the end: of what there was when it began
	// A list from the start: how far the processed events have been listed, and the last one listed while it waited.
	int64_t listed;
	char listed_waiting[ID_MAX];
	bool at_least_once, full;
	char live[EPOCH_MAX];
};

static bool take_session(void *arg, const struct store_row *row)
{
	struct listing *li = arg;
	li->num = store_int(row, 0);
	li->at_least_once = store_int(row, 2) != 0;
	li->end = li->page.ascending ? SCHEMA_SEQ_MAX : store_int(row, 3);
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
	                                  "SELECT s.num, s.environment, v.at_least_once, s.next_seq FROM sessions s"
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

// An event's place in the list: its seq, and behind all of those what waits to be processed.
#define WAITING_PLACE (INT64_C(1) << 40)

static bool take_event(void *arg, const struct store_row *row)
{
	struct listing *li = arg;
	int64_t seq = schema_seq(store_int(row, 0));
	bool waits = store_null(row, 1);
	if (!page_item(&li->page, waits ? WAITING_PLACE + seq : seq, SPAN_LIT("")))
		return false;
	if (!waits)
		li->listed = seq;
	else
		snprintf(li->listed_waiting, sizeof(li->listed_waiting), "%.*s", SPAN_FMT(store_text(row, 3)));
	if (li->page.n == 1)
		li->first_seq = li->last_seq = seq;
	li->first_seq = seq < li->first_seq ? seq : li->first_seq;
	li->last_seq = seq > li->last_seq ? seq : li->last_seq;
	li->full |= !event_row_text(li->page.out, store_text(row, 2), store_int(row, 1));
	return !li->full;
}

// The columns, what holds for every section, what is hidden from a worker, and the order.
#define SELECT "SELECT e.pos, e.processed_at, e.body, e.id FROM events e WHERE e.pos > $1 AND e.pos < $2 AND "
#define OF_TYPES "($3 = '' OR $3 LIKE '%,' || e.type || ',%')"
#define PROCESSED                                                                     \
	"e.processed_at IS NOT NULL AND ($6 = 0 OR e.processed_at BETWEEN $4 AND $5)" \
	" AND ($8 = '' OR e.id > $8 OR e.type NOT IN ('user.message', 'system.message')) AND " OF_TYPES
#define NOT_ANOTHERS                                                                                                \
	" AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.session = $9 AND c.id = e.id AND c.open = 1 AND c.kind < 2" \
	" AND ($10 = '' OR (c.epoch IS NOT NULL AND c.epoch <> $10)))"
#define WAITING "e.processed_at IS NULL AND ($5 = '' OR e.id > $5) AND " OF_TYPES
#define UP " ORDER BY e.pos LIMIT "
#define DOWN " ORDER BY e.pos DESC LIMIT "

static struct result select_processed(struct listing *li, struct store_tx *tx, struct err *e)
{
	const struct page *p = &li->page;
	char shown[ID_MAX];
	memcpy(shown, li->listed_waiting, sizeof(shown));
	int64_t low = 0, high = li->end, timed = li->from > 0 || li->to < INT64_MAX;
	if (p->ascending)
		low = li->listed;
	else if (!p->from_start && p->at < WAITING_PLACE)
		high = p->at;
	low = schema_pos(li->num, low);
	high = schema_pos(li->num, high < SCHEMA_SEQ_MAX ? high : SCHEMA_SEQ_MAX);
	if (!li->worker || li->at_least_once)
		return store_query(tx, e, take_event, li, p->ascending ? SELECT PROCESSED UP "$7" : SELECT PROCESSED DOWN "$7",
		                   "iisiiiis", low, high, span_of(li->types), li->from, li->to, timed, p->limit + 1,
		                   span_of(shown));
	return store_query(tx, e, take_event, li,
	                   p->ascending ? SELECT PROCESSED NOT_ANOTHERS UP "$7" : SELECT PROCESSED NOT_ANOTHERS DOWN "$7",
	                   "iisiiiisis", low, high, span_of(li->types), li->from, li->to, timed, p->limit + 1, span_of(shown),
	                   li->num, span_of(li->live));
}

static struct result select_waiting(struct listing *li, struct store_tx *tx, struct err *e)
{
	const struct page *p = &li->page;
	int64_t low = 0, high = SCHEMA_SEQ_MAX;
	if (li->from > 0 || li->to < INT64_MAX) // they have no time yet
		return OK;
	char shown[ID_MAX];
	memcpy(shown, li->listed_waiting, sizeof(shown));
	if (!p->ascending && !p->from_start && p->at >= WAITING_PLACE)
		high = p->at - WAITING_PLACE;
	return store_query(tx, e, take_event, li, p->ascending ? SELECT WAITING UP "$4" : SELECT WAITING DOWN "$4", "iisis",
	                   schema_pos(li->num, low), schema_pos(li->num, high), span_of(li->types), p->limit + 1,
	                   span_of(shown));
}

static struct result bad_cursor(struct err *e)
{
	return err_set(e, ERR_INVALID, "page: not a cursor of this list; take next_page of the answer before");
}

// Where the page before ended: "SEQ.ID" in a list from the start (listed, listed_waiting), "SEQ" in one from the end.
static struct result read_cursor(struct listing *li, struct err *e)
{
	struct span seq, id;
	uint64_t n = 0;
	li->listed = 0; // the list may be made a second time, to store what it exposes
	li->listed_waiting[0] = '\0';
	if (li->page.from_start)
		return OK;
	bool dot = span_cut(span_of(li->page.id), '.', &seq, &id);
	if (dot != li->page.ascending || failed(span_to_u64(seq, SCHEMA_SEQ_MAX, "page", &n, NULL)))
		return bad_cursor(e);
	*(li->page.ascending ? &li->listed : &li->end) = (int64_t)n;
	snprintf(li->listed_waiting, sizeof(li->listed_waiting), "%.*s", SPAN_FMT(id));
	return OK;
}

// What waits stands last, and is renumbered when it is processed. So that it is neither shown twice nor left out when that
// happens between two pages, a list from the start remembers what it has shown of either kind, and one from the end goes only
// to where the end was when it began.
static struct result select_events(struct listing *li, struct store_tx *tx, struct err *e)
{
	struct page *p = &li->page;
	bool in_waiting = !p->from_start && p->at >= WAITING_PLACE;
	TRY(read_cursor(li, e));
	if (p->ascending) {
		TRY(select_processed(li, tx, e));
		if (!p->more)
			TRY(select_waiting(li, tx, e));
		snprintf(p->last_id, sizeof(p->last_id), "%lld.%s", (long long)li->listed, li->listed_waiting);
		return OK;
	}
	if (p->from_start || in_waiting)
		TRY(select_waiting(li, tx, e));
	if (!p->more)
		TRY(select_processed(li, tx, e));
	snprintf(p->last_id, sizeof(p->last_id), "%lld", (long long)li->end);
	return OK;
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

static struct result check_page(const struct page *p, struct err *e)
{
	return p->backward ? bad_cursor(e) : OK;
}

void events_list(struct request *r)
{
	struct err e;
	struct listing *li = NEW(struct listing);
	if (failed(page_parse(&li->page, r, LIST_LIMIT, LIST_LIMIT, true, true, &e)) || failed(check_page(&li->page, &e)) ||
	    failed(parse_times(li, r, &e)) || failed(parse_types(li, r, &e))) {
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

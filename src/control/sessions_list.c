// Lists of sessions and of what belongs to one.
#include "base/clock.h"
#include "base/mem.h"
#include "control/page.h"
#include "control/session_text.h"
#include "control/sessions.h"

struct listing {
	struct page page;
	char *agent;
	bool none; // asks for what nothing here has
	int64_t version, from, to, now;
	int64_t statuses; // a bit each
	bool archived, full;
	char **texts; // read backward: to be turned round
	size_t n_texts;
};

static void release(void *arg)
{
	struct listing *li = arg;
	for (size_t i = 0; i < li->n_texts; i++)
		free(li->texts[i]);
	free(li->texts);
	free(li->agent);
	free(li);
}

static bool list_one(void *arg, const struct store_row *row)
{
	struct listing *li = arg;
	struct page *p = &li->page;
	struct buf *out = p->out;
	struct buf scratch;
	buf_init(&scratch, 16 * 1024 * 1024);
	if (p->backward) // commas come when they are turned round
		p->out = &scratch;
	bool room = page_item(p, store_int(row, SESSION_TEXT_NUM), SPAN_LIT("s"));
	p->out = out;
	buf_clear(&scratch);
	if (room && !p->backward)
		li->full |= !session_text_put(out, row, li->now);
	if (room && p->backward) {
		li->full |= !session_text_put(&scratch, row, li->now);
		li->texts = mem_grow(li->texts, li->n_texts + 1, sizeof(char *));
		li->texts[li->n_texts++] = buf_take(&scratch, NULL);
	}
	buf_fini(&scratch);
	return room && !li->full;
}

#define WHERE                                                                                                       \
	"SELECT " SESSION_TEXT_COLUMNS                                                                              \
	" FROM sessions s WHERE s.num > $1 AND s.num < $2"                                                          \
	" AND ($3 = '' OR s.agent_id = $3) AND ($4 = 0 OR s.agent_version = $4) AND s.created_at BETWEEN $5 AND $6" \
	" AND ($7 = 1 OR s.archived_at IS NULL) AND ($8 >> s.status) % 2 = 1"

static struct result list(struct op *op, struct store_tx *tx, struct err *e)
{
	struct listing *li = op->arg;
	struct page *p = &li->page;
	bool up = page_reads_up(p), ok = page_begin(p, &op->answer);
	int64_t low = 0, high = INT64_MAX;
	if (!p->from_start)
		*(up ? &low : &high) = p->at;
	li->now = clock_utc_us();
	if (!li->none)
		TRY(store_query(tx, e, list_one, li,
		                up ? WHERE " ORDER BY s.num LIMIT $9" : WHERE " ORDER BY s.num DESC LIMIT $9", "iisiiiiii", low,
		                high, span_of(li->agent), li->version, li->from, li->to, (int64_t)li->archived, li->statuses,
		                p->limit + 1));
	for (size_t i = li->n_texts; i-- > 0;)
		ok = ok && buf_add_str(&op->answer, li->texts[i]) && (i == 0 || buf_add_str(&op->answer, ","));
	return ok && !li->full && page_end(p, true) ? OK : err_set(e, ERR_TOO_LARGE, "limit: the page is too large");
}

static struct result parse_statuses(struct listing *li, const struct request *r, struct err *e)
{
	static const char *const names[] = {"idle", "running", "rescheduling", "terminated"};
	const char *value;
	li->statuses = request_param(r, "statuses") == NULL ? 15 : 0;
	for (size_t i = 0; (value = request_param_nth(r, "statuses", i)) != NULL; i++) {
		size_t n = 0;
		while (n < ARRAY_LEN(names) && strcmp(names[n], value) != 0)
			n++;
		if (n == ARRAY_LEN(names))
			return err_set(e, ERR_INVALID, "statuses[]: must be idle, running, rescheduling or terminated");
		li->statuses |= INT64_C(1) << n;
	}
	return OK;
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

void sessions_list(struct request *r)
{
	struct err e;
	struct listing *li = NEW(struct listing);
	struct op *op = op_new(r->c, r, list);
	op->arg = li;
	op->release = release;
	const char *agent = request_param(r, "agent_id");
	li->agent = agent == NULL ? NULL : mem_strdup(agent);
	li->none = request_param(r, "memory_store_id") != NULL || request_param(r, "deployment_id") != NULL;
	struct result res = page_parse(&li->page, r, 20, 100, true, false, &e);
	if (!failed(res))
		res = request_param_int(r, "agent_version", 1, INT64_MAX, 0, &li->version, &e);
	if (agent == NULL) // a version says nothing without its agent
		li->version = 0;
	if (!failed(res))
		res = request_param_bool(r, "include_archived", false, &li->archived, &e);
	if (!failed(res))
		res = parse_times(li, r, &e);
	if (!failed(res))
		res = parse_statuses(li, r, &e);
	if (failed(res))
		op_refuse(op, &e);
	else
		op_read(op);
}

// --- resources: fixed when the session is made

static bool take_text(void *arg, const struct store_row *row)
{
	*(char **)arg = span_dup(store_text(row, 0));
	return false;
}

static struct result load_resources(struct op *op, struct store_tx *tx, char **out, struct err *e)
{
	const char *id = op->r->segments[2];
	struct result r =
	        store_query_one(tx, e, take_text, out, "SELECT resources FROM sessions WHERE id = $1", "s", span_of(id));
	return failed(r) && e->kind == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "there is no session %.64s", id) : r;
}

static struct result resources(struct op *op, struct store_tx *tx, struct err *e)
{
	AUTO_FREE char *text = NULL;
	TRY(load_resources(op, tx, &text, e));
	return buf_printf(&op->answer, "{\"data\":%s,\"next_page\":null}", text) ? OK : FAIL;
}

void sessions_resources(struct request *r)
{
	op_read(op_new(r->c, r, resources));
}

void sessions_resources_add(struct request *r)
{
	request_refuse_kind(r, ERR_INVALID, "a self-hosted session takes no files or repositories");
}

void sessions_resource(struct request *r)
{
	request_refuse_kind(r, ERR_NOT_FOUND, "session %.64s has no resource %.64s", r->segments[2], r->segments[4]);
}

// --- threads: the primary one is the only one

static bool list_thread(void *arg, const struct store_row *row)
{
	struct op *op = arg;
	const struct listing *li = op->arg;
	return session_text_thread(&op->answer, row, li->now);
}

static struct result threads(struct op *op, struct store_tx *tx, struct err *e)
{
	struct listing *li = op->arg;
	AUTO_FREE char *there = NULL;
	TRY(load_resources(op, tx, &there, e));
	li->now = clock_utc_us();
	bool ok = buf_add_str(&op->answer, "{\"data\":[");
	TRY(store_query(tx, e, list_thread, op,
	                "SELECT " SESSION_TEXT_COLUMNS " FROM sessions s WHERE s.id = $1 AND ($2 >> s.status) % 2 = 1", "si",
	                span_of(op->r->segments[2]), li->statuses));
	return ok && buf_add_str(&op->answer, "],\"next_page\":null}") ? OK : FAIL;
}

void sessions_threads(struct request *r)
{
	struct err e;
	struct listing *li = NEW(struct listing);
	struct op *op = op_new(r->c, r, threads);
	op->arg = li;
	op->release = release;
	if (failed(parse_statuses(li, r, &e)))
		op_refuse(op, &e);
	else
		op_read(op);
}

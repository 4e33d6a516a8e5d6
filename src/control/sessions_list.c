// Lists of sessions and of what belongs to one.
#include "base/clock.h"
#include "base/mem.h"
#include "control/page.h"
#include "control/session_text.h"
#include "control/sessions.h"

struct listing {
	struct page page;
	char *agent, *memory, *deployment;
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
	free(li->memory);
	free(li->deployment);
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
	" AND ($7 = 1 OR s.archived_at IS NULL) AND ($8 >> s.status) % 2 = 1"                                       \
	" AND ($9 = '' OR s.resources LIKE '%\"memory_store_id\":\"' || $9 || '\"%')"

static struct result list(struct op *op, struct store_tx *tx, struct err *e)
{
	struct listing *li = op->arg;
	struct page *p = &li->page;
	bool up = page_reads_up(p), ok = page_begin(p, &op->answer);
	int64_t low = 0, high = INT64_MAX;
	if (!p->from_start)
		*(up ? &low : &high) = p->at;
	li->now = clock_utc_us();
	if (li->deployment == NULL) // nothing here belongs to a deployment
		TRY(store_query(tx, e, list_one, li,
		                up ? WHERE " ORDER BY s.num LIMIT $10" : WHERE " ORDER BY s.num DESC LIMIT $10", "iisiiiiisi",
		                low, high, span_of(li->agent), li->version, li->from, li->to, (int64_t)li->archived,
		                li->statuses, span_of(li->memory), p->limit + 1));
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

static char *copy_param(const struct request *r, const char *name)
{
	const char *value = request_param(r, name);
	return value == NULL ? NULL : mem_strdup(value);
}

void sessions_list(struct request *r)
{
	struct err e;
	struct listing *li = NEW(struct listing);
	struct op *op = op_new(r->c, r, list);
	op->arg = li;
	op->release = release;
	li->agent = copy_param(r, "agent_id");
	li->memory = copy_param(r, "memory_store_id");
	li->deployment = copy_param(r, "deployment_id");
	struct result res = page_parse(&li->page, r, 20, 100, true, false, &e);
	if (!failed(res))
		res = request_param_int(r, "agent_version", 1, INT64_MAX, 0, &li->version, &e);
	if (!failed(res))
		res = request_param_bool(r, "include_archived", false, &li->archived, &e);
	if (!failed(res))
		res = parse_times(li, r, &e);
	if (!failed(res))
		res = parse_statuses(li, r, &e);
	if (!failed(res) && li->memory != NULL && strpbrk(li->memory, "%_\"\\") != NULL &&
	    strncmp(li->memory, "memstore_", 9) != 0)
		res = err_set(&e, ERR_INVALID, "memory_store_id: not an id");
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

void sessions_resource(struct request *r)
{
	request_refuse_kind(r, ERR_NOT_FOUND, "session %.64s has no resource %.64s", r->segments[2], r->segments[4]);
}

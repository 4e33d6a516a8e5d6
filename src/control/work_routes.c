#include "control/work_routes.h"

#include "base/clock.h"
#include "base/mem.h"
#include "control/event_params.h"
#include "control/metadata.h"
#include "control/page.h"
#include "control/text.h"
#include "control/work_lease.h"
#include "control/work_queue.h"

void work_poll(struct request *r)
{
	struct err e;
	int64_t block_ms, reclaim_ms;
	if (failed(request_param_int(r, "block_ms", 1, WORK_QUEUE_BLOCK_MAX_MS, 0, &block_ms, &e)) ||
	    failed(request_param_int(r, "reclaim_older_than_ms", 0, 86400000, WORK_QUEUE_RECLAIM_DEFAULT_MS, &reclaim_ms, &e)))
		request_refuse(r, &e, NULL);
	else
		work_queue_poll(r->c->queue, r, r->segments[2], block_ms, reclaim_ms);
}

// --- verbs on one item

static void release_verb(void *arg)
{
	struct work_verb *v = arg;
	free(v->expected);
	json_decref(v->metadata);
	free(v);
}

static struct op *verb_new(struct request *r, struct result (*run)(struct op *op, struct store_tx *tx, struct err *e))
{
	struct op *op = op_new(r->c, r, run);
	struct work_verb *v = NEW(struct work_verb);
	strncpy(v->environment, r->segments[2], ID_MAX - 1);
	strncpy(v->id, r->segments[4], ID_MAX - 1);
	bool token = r->who.kind == AUTH_TOKEN || r->who.kind == AUTH_ENDED;
	v->epoch = token ? r->who.epoch : -1;
	v->superseded = r->who.kind == AUTH_ENDED;
	op->arg = v;
	op->release = release_verb;
	return op;
}

static struct result ack(struct op *op, struct store_tx *tx, struct err *e)
{
	return work_lease_ack(op, tx, op->arg, e);
}

void work_ack(struct request *r)
{
	op_submit(verb_new(r, ack));
}

static struct result heartbeat(struct op *op, struct store_tx *tx, struct err *e)
{
	return work_lease_heartbeat(op, tx, op->arg, e);
}

void work_heartbeat(struct request *r)
{
	struct err e;
	struct op *op = verb_new(r, heartbeat);
	struct work_verb *v = op->arg;
	const char *expected = request_param(r, "expected_last_heartbeat");
	v->expected = expected == NULL || expected[0] == '\0' ? NULL : mem_strdup(expected);
	if (failed(request_param_int(r, "desired_ttl_seconds", 1, INT64_MAX, 0, &v->desired_ttl, &e)))
		op_refuse(op, &e);
	else
		op_submit(op);
}

static struct result stop(struct op *op, struct store_tx *tx, struct err *e)
{
	return work_lease_stop(op, tx, op->arg, e);
}

void work_stop(struct request *r)
{
	static const char *const members[] = {"force", NULL};
	struct err e;
	struct op *op = verb_new(r, stop);
	struct work_verb *v = op->arg;
	if (failed(request_parse_body(r, true, &e)) || failed(event_params_only(r->body, "", members, &e)) ||
	    failed(json_opt_bool(r->body, "", "force", false, &v->force, &e)))
		op_refuse(op, &e);
	else
		op_submit(op);
}

static struct result answer_item(struct op *op, const struct work_row *w, struct err *e)
{
	AUTO_JSON json_t *j = work_row_json(w, NULL);
	AUTO_FREE char *text = json_text(j, NULL);
	return buf_add_str(&op->answer, text) ? OK : err_set(e, ERR_TOO_LARGE, "the answer is too large");
}

static struct result get(struct op *op, struct store_tx *tx, struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	TRY(work_tx_load(tx, op->r->segments[2], op->r->segments[4], &w, e));
	return answer_item(op, &w, e);
}

void work_get(struct request *r)
{
	op_read(op_new(r->c, r, get));
}

static struct result update(struct op *op, struct store_tx *tx, struct err *e)
{
	AUTO_WORK struct work_row w = {0};
	AUTO_JSON json_t *old = NULL, *metadata = NULL;
	TRY(work_tx_load(tx, op->r->segments[2], op->r->segments[4], &w, e));
	TRY(json_parse_object(span_of(w.metadata), "metadata", &old, e));
	if (failed(metadata_take(op->r->body, old, false, &metadata, e))) {
		op->error.details = json_pack("{s:s}", "error_code", "invalid_metadata");
		return FAIL;
	}
	free(w.metadata);
	w.metadata = json_text(metadata, NULL);
	TRY(work_tx_save(tx, &w, e));
	return answer_item(op, &w, e);
}

void work_update(struct request *r)
{
	static const char *const members[] = {"metadata", NULL};
	struct err e;
	struct op *op = op_new(r->c, r, update);
	if (failed(request_parse_body(r, false, &e)) || failed(event_params_only(r->body, "", members, &e))) {
		op_refuse(op, &e);
		return;
	}
	op_note(op, AUDIT_ADMIN, "work.update", NULL, r->segments[4]);
	op_submit(op);
}

// --- the whole queue

struct listing {
	struct page page;
	bool full;
};

static bool list_one(void *arg, const struct store_row *row)
{
	struct listing *li = arg;
	AUTO_WORK struct work_row w = {0};
	work_tx_take(&w, row);
	if (!page_item(&li->page, w.num, SPAN_LIT("w")))
		return false;
	AUTO_JSON json_t *j = work_row_json(&w, NULL);
	AUTO_FREE char *text = json_text(j, NULL);
	li->full |= !buf_add_str(li->page.out, text);
	return !li->full;
}

static struct result list(struct op *op, struct store_tx *tx, struct err *e)
{
	struct listing *li = op->arg;
	bool ok = page_begin(&li->page, &op->answer);
	TRY(store_query(tx, e, list_one, li,
	                "SELECT " WORK_COLUMNS
	                " FROM work w WHERE w.environment = $1 AND w.num < $2 ORDER BY w.num DESC LIMIT $3",
	                "sii", span_of(op->r->segments[2]), li->page.from_start ? INT64_MAX : li->page.at, li->page.limit + 1));
	return ok && !li->full && page_end(&li->page, false) ? OK : err_set(e, ERR_TOO_LARGE, "limit: the page is too large");
}

void work_list(struct request *r)
{
	struct err e;
	struct listing *li = NEW(struct listing);
	struct op *op = op_new(r->c, r, list);
	op->arg = li;
	op->release = free;
	if (failed(page_parse(&li->page, r, 20, 100, false, false, &e)))
		op_refuse(op, &e);
	else
		op_read(op);
}

struct stats {
	int64_t depth, pending, oldest;
};

static bool take_stats(void *arg, const struct store_row *row)
{
	struct stats *s = arg;
	s->depth = store_int(row, 0);
	s->pending = store_int(row, 1);
	s->oldest = store_int(row, 2);
	return true;
}

static struct result stats(struct op *op, struct store_tx *tx, struct err *e)
{
	return store_query_one(tx, e, take_stats, op->arg,
	                       "SELECT count(*) - count(claimed_at), count(claimed_at), min(created_at) FROM work"
	                       " WHERE environment = $1 AND state = 0",
	                       "s", span_of(op->r->segments[2]));
}

static void answer_stats(struct op *op)
{
	const struct stats *s = op->arg;
	bool ok =
	        buf_printf(&op->answer, "{\"type\":\"work_queue_stats\",\"depth\":%lld,\"pending\":%lld,\"oldest_queued_at\":",
	                   (long long)s->depth, (long long)s->pending) &&
	        text_time(&op->answer, s->oldest) &&
	        buf_printf(&op->answer, ",\"workers_polling\":%zu}", work_queue_workers(op->c->queue, op->r->segments[2]));
	BUG_ON(!ok);
}

void work_stats(struct request *r)
{
	struct op *op = op_new(r->c, r, stats);
	op->arg = NEW(struct stats);
	op->release = free;
	op->published = answer_stats;
	op_read(op);
}

#include "worker/exposure.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define PAGE_ITEMS 100
#define PAGES_MAX 200
#define RETRY_MS 2000
#define CURSOR_MAX 1024
#define LIST_MAX ((size_t)8 << 20)

struct exposure {
	struct exposure_opts o;
	char *item, *session;
	struct plane_call *listing;
	struct ledger_op *knowing;
	struct loop_timer *again;
	json_t *ours; // ids of the session's items that our journal knows
	bool read, unreadable;
	int64_t foreign_until; // INT64_MIN: no other worker's item
	int pages;
	void (*done)(void *arg);
	void *arg;
};

static void list_page(struct exposure *x, const char *cursor);

struct exposure *exposure_new(const struct exposure_opts *opts)
{
	struct exposure *x = NEW(struct exposure);
	x->o = *opts;
	x->item = mem_strdup(opts->item);
	x->session = mem_strdup(opts->session);
	x->foreign_until = INT64_MIN;
	return x;
}

void exposure_free(struct exposure *x)
{
	if (x == NULL)
		return;
	plane_cancel(&x->listing);
	ledger_cancel(&x->knowing);
	loop_timer_cancel(&x->again);
	json_decref(x->ours);
	free(x->item);
	free(x->session);
	free(x);
}

enum exposed exposure_of(const struct exposure *x, struct span processed_at, int64_t began_us, const char **why)
{
	int64_t at;
	if (x->o.counted)
		return EXPOSED_NO;
	if (processed_at.len == 0 || failed(clock_parse(processed_at, &at, NULL)))
		at = INT64_MIN; // it may be as old as it likes
	if (began_us != 0 && at > began_us)
		return EXPOSED_NO; // it came up under our own lease
	if (x->o.started_before) {
		*why = "the session's work item was another worker's before";
		return EXPOSED_YES;
	}
	if (!x->read)
		return EXPOSED_UNREAD;
	if (x->unreadable) {
		*why = "the environment's work list, which would tell whether another worker had it, can't be read";
		return EXPOSED_YES;
	}
	*why = "another worker held a work item of the session when the call was open";
	return x->foreign_until != INT64_MIN && at <= x->foreign_until ? EXPOSED_YES : EXPOSED_NO;
}

static void read_over(struct exposure *x, bool unreadable)
{
	x->read = true;
	x->unreadable = unreadable;
	x->done(x->arg);
}

static void start_over(void *arg)
{
	struct exposure *x = arg;
	x->again = NULL;
	x->pages = 0;
	x->foreign_until = INT64_MIN;
	list_page(x, NULL);
}

static bool is_set(const json_t *item, const char *name)
{
	return json_is_string(json_object_get(item, name));
}

// When another worker may have held the item for the last time; INT64_MIN: never.
static int64_t held_until(const struct exposure *x, const json_t *item)
{
	struct span id = json_span(json_object_get(item, "id")), stopped = json_span(json_object_get(item, "stopped_at"));
	struct span session = json_span(json_object_get(json_object_get(item, "data"), "id"));
	AUTO_FREE char *name = span_dup(id);
	int64_t until;
	if (!span_is(session, x->session) || span_is(id, x->item) || json_object_get(x->ours, name) != NULL)
		return INT64_MIN;
	if (!is_set(item, "acknowledged_at") && !is_set(item, "started_at"))
		return INT64_MIN;
	return stopped.len > 0 && !failed(clock_parse(stopped, &until, NULL)) ? until : INT64_MAX;
}

static void page_came(void *arg, const struct plane_answer *a)
{
	struct exposure *x = arg;
	json_t *data = NULL;
	struct span next = {0};
	struct err e;
	x->listing = NULL;
	if (!a->ok && !a->fatal && a->why.kind == ERR_UNREACHABLE) {
		x->again = loop_timer_start(plane_loop(x->o.plane), RETRY_MS, start_over, x);
		return;
	}
	if (!a->ok || !json_is_object(a->body) || failed(json_get_array(a->body, "work", "data", &data, &e)) ||
	    failed(json_opt_string(a->body, "work", "next_page", &next, &e)) || next.len > CURSOR_MAX ||
	    ++x->pages > PAGES_MAX) {
		log_error("worker.work_list_unreadable", "session=%s error=%s", x->session, LOG_Q(span_of(a->why.msg)));
		read_over(x, true);
		return;
	}
	for (size_t i = 0; i < json_array_size(data); i++) {
		int64_t until = held_until(x, json_array_get(data, i));
		x->foreign_until = until > x->foreign_until ? until : x->foreign_until;
	}
	AUTO_FREE char *cursor = next.len == 0 ? NULL : span_dup(next);
	if (cursor == NULL)
		read_over(x, false);
	else
		list_page(x, cursor);
}

// The work list takes the environment key and nothing else (1.4).
static void list_page(struct exposure *x, const char *cursor)
{
	AUTO_BUF struct buf path;
	buf_init(&path, 8192);
	bool fits = buf_printf(&path, "/v1/environments/%s/work?limit=%d", plane_environment(x->o.plane), PAGE_ITEMS);
	if (cursor != NULL)
		fits = fits && buf_add_str(&path, "&page=");
	for (const char *c = cursor; c != NULL && *c != '\0'; c++)
		fits = fits && buf_printf(&path, "%%%02X", (unsigned char)*c);
	BUG_ON(!fits);
	const struct plane_request r = {
	        .method = "GET", .path = buf_str(&path), .answer_max = LIST_MAX, .done = page_came, .arg = x};
	x->listing = plane_send(x->o.plane, &r);
}

static void known(void *arg, const json_t *ids, const struct err *e)
{
	struct exposure *x = arg;
	x->knowing = NULL;
	if (e != NULL) {
		read_over(x, true);
		return;
	}
	json_decref(x->ours);
	x->ours = json_deep_copy(ids);
	start_over(x);
}

void exposure_read(struct exposure *x, void (*done)(void *arg), void *arg)
{
	x->done = done;
	x->arg = arg;
	x->knowing = ledger_items(x->o.ledger, x->session, known, x);
}

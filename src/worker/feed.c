#include "worker/feed.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/sse.h"

#define RECONNECT_FIRST_MS 500
#define RECONNECT_CAP_MS 10000
#define SILENCE_MS 120000
#define EVENT_MAX ((size_t)20 << 20)
#define PAGE_MAX ((size_t)64 << 20)
#define PAGE_EVENTS 1000
#define PAGE_TIMEOUT_MS 120000
#define EARLY_BYTES_MAX ((size_t)32 << 20) // of the stream while the history is read
#define CURSOR_MAX 1024

struct feed {
	struct feed_opts o;
	char *session, *token;
	struct http_call *stream;
	struct sse_decoder decoder;
	struct plane_call *page;
	struct loop_timer *again; // to connect
	struct loop_timer *soon;  // what must not be done inside a callback of the stream
	json_t *early;            // events of the stream that came while the history is read
	size_t early_bytes;
	int64_t page_events;
	uint64_t backoff_ms;
	bool listing, broken;
};

static void open_stream(void *arg);
static void list_page(struct feed *f, struct span cursor);

static void close_stream(struct feed *f)
{
	loop_timer_cancel(&f->soon);
	http_call_cancel(&f->stream);
	plane_cancel(&f->page);
	sse_decoder_fini(&f->decoder);
	sse_decoder_init(&f->decoder, EVENT_MAX);
	json_array_clear(f->early);
	f->early_bytes = 0;
}

static void reconnect(struct feed *f, const char *why)
{
	bool listing = f->listing;
	close_stream(f);
	f->listing = f->broken = false;
	log_warn("worker.stream_interrupted", "session=%s again_ms=%llu error=%s", f->session,
	         (unsigned long long)f->backoff_ms, LOG_Q(span_of(why)));
	f->again = loop_timer_start(plane_loop(f->o.plane), f->backoff_ms, open_stream, f);
	f->backoff_ms = f->backoff_ms * 2 < RECONNECT_CAP_MS ? f->backoff_ms * 2 : RECONNECT_CAP_MS;
	if (listing)
		f->o.history_end(f->o.arg, false);
}

static bool usable(const json_t *ev)
{
	return json_is_string(json_object_get(ev, "type"));
}

// --- the stream

static bool on_event(void *arg, struct span name, struct span data)
{
	struct feed *f = arg;
	AUTO_JSON json_t *ev = NULL;
	struct err e;
	if (span_is(name, "ping"))
		return true;
	// What can't be read is read again from the history: an event left out could be a call.
	if (span_is(name, "error") || failed(json_parse_object_lossy(data, "a stream event", &ev, &e))) {
		f->broken = true;
		return false;
	}
	if (!usable(ev))
		return true;
	f->backoff_ms = RECONNECT_FIRST_MS;
	if (!f->listing) {
		f->o.live(f->o.arg, ev);
		return true;
	}
	f->early_bytes += data.len;
	if (f->early_bytes > EARLY_BYTES_MAX) {
		f->broken = true;
		return false;
	}
	json_array_append(f->early, ev);
	return true;
}

static void break_off(void *arg)
{
	struct feed *f = arg;
	f->soon = NULL;
	reconnect(f, "an event that could not be read");
}

static void on_data(void *arg, struct span bytes)
{
	struct feed *f = arg;
	if (f->broken)
		return;
	if (failed(sse_decoder_feed(&f->decoder, bytes, on_event, f, NULL)))
		f->broken = true;
	if (f->broken) {
		loop_timer_cancel(&f->soon);
		f->soon = loop_timer_start(plane_loop(f->o.plane), 0, break_off, f);
	}
}

static void list_first(void *arg)
{
	struct feed *f = arg;
	f->soon = NULL;
	list_page(f, (struct span){0});
}

static void on_head(void *arg, int status)
{
	struct feed *f = arg;
	if (status != 200)
		return;
	f->listing = true;
	f->page_events = PAGE_EVENTS;
	f->o.history_begin(f->o.arg);
	f->soon = loop_timer_start(plane_loop(f->o.plane), 0, list_first, f);
}

static void stream_done(void *arg, int status, struct span body, const struct err *e)
{
	struct feed *f = arg;
	struct err why;
	(void)body;
	f->stream = NULL;
	if (e == NULL && plane_is_fatal(status)) {
		plane_error(status, NULL, &why);
		close_stream(f);
		f->o.refused(f->o.arg, &why);
		return;
	}
	if (e == NULL && status != 200)
		plane_error(status, NULL, &why);
	reconnect(f, e != NULL ? e->msg : status == 200 ? "the stream ended" : why.msg);
}

static void open_stream(void *arg)
{
	struct feed *f = arg;
	f->again = NULL;
	AUTO_FREE char *path = mem_printf("/v1/sessions/%s/events/stream", f->session);
	const struct http_call_opts opts = {
	        .silence_timeout_ms = SILENCE_MS, .on_head = on_head, .on_data = on_data, .done = stream_done, .arg = f};
	f->stream = plane_stream(f->o.plane, path, f->token, &opts);
}

// --- the history

static void history_over(struct feed *f, bool complete)
{
	json_t *early = f->early;
	f->listing = false;
	f->early = json_array();
	f->early_bytes = 0;
	f->o.history_end(f->o.arg, complete);
	for (size_t i = 0; i < json_array_size(early); i++)
		f->o.live(f->o.arg, json_array_get(early, i));
	json_decref(early);
}

static void page_came(void *arg, const struct plane_answer *a)
{
	struct feed *f = arg;
	json_t *data = NULL;
	struct span next = {0};
	struct err e;
	f->page = NULL;
	// A page that is too large is asked for in smaller ones; what was delivered twice is known by its id.
	if (!a->ok && a->why.kind == ERR_TOO_LARGE && f->page_events > 1) {
		f->page_events /= 10;
		list_page(f, (struct span){0});
		return;
	}
	if (!a->ok || !json_is_object(a->body) || failed(json_get_array(a->body, "events", "data", &data, &e)) ||
	    failed(json_opt_string(a->body, "events", "next_page", &next, &e)) || next.len > CURSOR_MAX) {
		log_warn("worker.history_failed", "session=%s error=%s", f->session,
		         LOG_Q(span_of(a->ok ? "it is not a page of events" : a->why.msg)));
		history_over(f, false);
		return;
	}
	AUTO_FREE char *cursor = next.len == 0 ? NULL : span_dup(next);
	for (size_t i = 0; i < json_array_size(data); i++) {
		json_t *ev = json_array_get(data, i);
		if (usable(ev))
			f->o.history(f->o.arg, ev);
	}
	if (cursor == NULL)
		history_over(f, true);
	else
		list_page(f, span_of(cursor));
}

static void list_page(struct feed *f, struct span cursor)
{
	AUTO_BUF struct buf path;
	buf_init(&path, 8192);
	bool fits = buf_printf(&path, "/v1/sessions/%s/events?limit=%lld", f->session, (long long)f->page_events);
	if (cursor.len > 0)
		fits = fits && buf_add_str(&path, "&page=");
	for (size_t i = 0; i < cursor.len; i++)
		fits = fits && buf_printf(&path, "%%%02X", (unsigned char)cursor.data[i]);
	BUG_ON(!fits);
	const struct plane_request r = {.method = "GET",
	                                .path = buf_str(&path),
	                                .token = f->token,
	                                .answer_max = PAGE_MAX,
	                                .timeout_ms = PAGE_TIMEOUT_MS,
	                                .done = page_came,
	                                .arg = f};
	f->page = plane_send(f->o.plane, &r);
}

struct feed *feed_start(const struct feed_opts *opts)
{
	struct feed *f = NEW(struct feed);
	f->o = *opts;
	f->session = mem_strdup(opts->session);
	f->token = opts->token == NULL ? NULL : mem_strdup(opts->token);
	f->early = json_array();
	f->backoff_ms = RECONNECT_FIRST_MS;
	sse_decoder_init(&f->decoder, EVENT_MAX);
	open_stream(f);
	return f;
}

void feed_drop(struct feed **feed)
{
	struct feed *f = *feed;
	if (f == NULL)
		return;
	*feed = NULL;
	http_call_cancel(&f->stream);
	plane_cancel(&f->page);
	loop_timer_cancel(&f->again);
	loop_timer_cancel(&f->soon);
	sse_decoder_fini(&f->decoder);
	json_decref(f->early);
	free(f->session);
	if (f->token != NULL)
		mem_wipe(f->token, strlen(f->token));
	free(f->token);
	free(f);
}

#include "cli/run_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/run_ask.h"
#include "net/sse.h"

#define FRAME_MAX (16U << 20)
#define RECONNECT_MS 500

struct run_session {
	struct api *api;
	struct run_view *view;
	struct run_session_opts opts;
	void (*ended)(void *arg, const struct err *e);
	void *arg;
	struct run_open *opening;
	char *id;        // the session's
	char *anchor_id; // of our message once it is stored, or without a task of the last event that was there before us
	json_t *known;   // ids of events that were taken
	json_t *held;    // what the stream brought while the history is listed
	json_t *status;  // the latest session.status_… event
	struct run_ask *ask;
	struct http_call *stream;
	struct loop_timer *again;
	struct sse_decoder sse;
	bool past_anchor; // while the history is listed
	bool began;       // the state in which we found the session is known
	bool streaming;   // what happens now comes to us
	bool missed;      // something may have happened meanwhile
	bool sent, interrupted, over;
};

static void open_stream(void *arg);
static void list_history(struct run_session *r, const char *page);
static void go_on(struct run_session *r);

static void finish(struct run_session *r, const struct err *e)
{
	if (r->over)
		return;
	r->over = true;
	run_ask_stop(r->ask);
	r->ended(r->arg, e);
}

static void send_events(struct run_session *r, json_t *events, void (*done)(void *, const json_t *, const struct err *))
{
	AUTO_JSON json_t *body = json_pack("{s:o}", "events", events);
	AUTO_FREE char *path = mem_printf("/v1/sessions/%s/events", r->id);
	api_send(r->api, "POST", path, body, done, r);
}

// --- calls that wait for a yes or no

static void sent_along(void *arg, const json_t *answer, const struct err *e)
{
	(void)answer;
	if (e != NULL)
		finish(arg, e);
	else
		go_on(arg);
}

static void decided(void *arg, json_t *decisions)
{
	send_events(arg, decisions, sent_along);
}

static void asking(void *arg, bool now)
{
	const struct run_session *r = arg;
	run_view_pause(r->view, now);
}

// Every call that waits for a yes or no gets one from the person at the terminal, or ends this run where there is none.
static void ask_person(struct run_session *r)
{
	if (r->opts.interactive) {
		run_ask_start(r->ask);
		return;
	}
	struct err e;
	err_set(&e, ERR_DENIED,
	        "%s waits for a confirmation and nobody is at a terminal\n"
	        "answer it at one: sallyport run --session %s",
	        run_ask_first(r->ask), r->id);
	finish(r, &e);
}

static struct span stop_reason(const json_t *event)
{
	return json_span(json_object_get(json_object_get(event, "stop_reason"), "type"));
}

static void turn_ended(struct run_session *r, const json_t *event)
{
	struct err e;
	struct span why = stop_reason(event);
	if (span_is(why, "requires_action")) {
		if (run_ask_first(r->ask) != NULL)
			ask_person(r);
	} else if (span_is(why, "end_turn")) {
		finish(r, NULL);
	} else {
		err_set(&e, ERR_SYSTEM,
		        "the turn ended early (%.*s); why stands above\ngo on with: sallyport run --session %s TASK",
		        SPAN_FMT(span_head(why, 60)), r->id);
		finish(r, &e);
	}
}

static void note_state(struct run_session *r, struct span type, const json_t *event)
{
	if (span_is(json_span(json_object_get(event, "evaluated_permission")), "ask"))
		run_ask_add(r->ask, event);
	else if (span_is(type, "user.tool_confirmation") || span_is(type, "user.tool_result"))
		run_ask_settle(r->ask, json_string_value(json_object_get(event, "tool_use_id")));
	else if (span_starts(type, "session.status_")) {
		json_decref(r->status);
		r->status = json_incref((json_t *)event);
	}
}

static bool is_known(struct run_session *r, const json_t *event)
{
	const char *id = json_string_value(json_object_get(event, "id"));
	if (id == NULL)
		return false;
	bool known = json_object_get(r->known, id) != NULL;
	json_object_set_new(r->known, id, json_true());
	return known;
}

// `ours` is false for what happened before we came.
static void take_event(struct run_session *r, const json_t *event, bool ours)
{
	struct span type = json_span(json_object_get(event, "type"));
	if (r->over || is_known(r, event))
		return;
	if (ours)
		run_view_event(r->view, event);
	note_state(r, type, event);
	if (!ours)
		return;
	if (span_is(type, "session.status_idle")) {
		turn_ended(r, event);
	} else if (span_is(type, "session.status_terminated") || span_is(type, "session.deleted")) {
		struct err e;
		err_set(&e, ERR_CONFLICT, "the session was ended");
		finish(r, &e);
	}
}

static void message_stored(void *arg, const json_t *answer, const struct err *e)
{
	struct run_session *r = arg;
	if (e != NULL) {
		finish(r, e);
		return;
	}
	const json_t *event = json_array_get(json_object_get(answer, "data"), 0);
	free(r->anchor_id);
	r->anchor_id = span_dup(json_span(json_object_get(event, "id")));
	if (r->missed && r->streaming)
		list_history(r, NULL);
}

static void send_message(struct run_session *r)
{
	json_t *content = json_array();
	if (r->opts.file_name != NULL)
		json_array_append_new(content, json_pack("{s:s, s:s, s:{s:s, s:s, s:o}}", "type", "document", "title",
		                                         r->opts.file_name, "source", "type", "text", "media_type",
		                                         "text/plain", "data", json_string_lossy(r->opts.file_content)));
	json_array_append_new(content,
	                      json_pack("{s:s, s:o}", "type", "text", "text", json_string_lossy(span_of(r->opts.task))));
	r->sent = true;
	free(STEAL(r->anchor_id));
	send_events(r, json_pack("[{s:s, s:o}]", "type", "user.message", "content", content), message_stored);
}

// Nothing waits for a person any more: the task's turn, or the end where there is nothing to wait for.
static void go_on(struct run_session *r)
{
	struct err e;
	struct span status = json_span(json_object_get(r->status, "type"));
	bool turn_over = r->status == NULL ||
	                 (span_is(status, "session.status_idle") && !span_is(stop_reason(r->status), "requires_action"));
	if (r->over || r->interrupted)
		return;
	if (r->opts.task != NULL && !r->sent) {
		send_message(r);
	} else if (!r->sent && turn_over) {
		err_set(&e, ERR_MISUSED, "the session is idle and waits for a task\ntype: sallyport run --session %s TASK",
		        r->id);
		finish(r, &e);
	}
}

// --- the stream, and the history for what it did not bring

static bool stream_event(void *arg, struct span name, struct span data)
{
	struct run_session *r = arg;
	AUTO_JSON json_t *event = NULL;
	(void)name;
	if (failed(json_parse_object(data, "event", &event, NULL)))
		return true;
	if (r->held != NULL)
		json_array_append(r->held, event);
	else
		take_event(r, event, true);
	return !r->over;
}

static void stream_data(void *arg, struct span bytes)
{
	struct run_session *r = arg;
	struct err e;
	if (failed(sse_decoder_feed(&r->sse, bytes, stream_event, r, &e)))
		finish(r, &e);
}

static void stream_open(void *arg, int status)
{
	struct run_session *r = arg;
	if (status != 200)
		return;
	r->streaming = true;
	run_view_lost(r->view, NULL);
	if (!r->began && r->opts.open.session == NULL) {
		r->began = true;
		send_message(r); // a new session has no history
	} else if (!r->began || r->anchor_id != NULL) {
		list_history(r, NULL);
	}
}

static void reopen_stream_later(struct run_session *r)
{
	http_call_cancel(&r->stream);
	loop_timer_cancel(&r->again);
	json_decref(STEAL(r->held));
	r->streaming = false;
	r->missed = true;
	run_view_lost(r->view, r->api->base_url);
	r->again = loop_timer_start(r->api->loop, RECONNECT_MS, open_stream, r);
}

static void stream_closed(void *arg, int status, struct span body, const struct err *e)
{
	struct run_session *r = arg;
	struct err why;
	(void)body;
	r->stream = NULL;
	if (r->over)
		return;
	if (e == NULL && status >= 400 && status < 500) {
		err_set(&why, ERR_NOT_FOUND, "the session's stream was refused (HTTP %d)", status);
		finish(r, &why);
		return;
	}
	reopen_stream_later(r);
}

static void open_stream(void *arg)
{
	struct run_session *r = arg;
	AUTO_FREE char *url = mem_printf("%s/v1/sessions/%s/events/stream", r->api->base_url, r->id);
	const char *fields[] = {r->api->key_header, NULL};
	const struct http_call_opts opts = {.method = "GET",
	                                    .url = url,
	                                    .fields = fields,
	                                    .silence_timeout_ms = 60000,
	                                    .on_head = stream_open,
	                                    .on_data = stream_data,
	                                    .done = stream_closed,
	                                    .arg = r};
	r->again = NULL;
	sse_decoder_fini(&r->sse);
	sse_decoder_init(&r->sse, FRAME_MAX);
	r->stream = http_call_start(r->api->http, &opts);
}

static void history_complete(struct run_session *r, const char *last_id)
{
	AUTO_JSON json_t *held = STEAL(r->held);
	size_t i;
	json_t *event;
	bool first = !r->began;
	r->began = true;
	if (first && r->opts.task == NULL && last_id != NULL)
		r->anchor_id = mem_strdup(last_id);
	json_array_foreach (held, i, event) {
		take_event(r, event, true);
	}
	if (!first || r->over)
		return;
	if (run_ask_first(r->ask) != NULL)
		ask_person(r);
	else
		go_on(r);
}

static void history_listed(void *arg, const json_t *answer, const struct err *e)
{
	struct run_session *r = arg;
	size_t i;
	json_t *event;
	const char *last_id = NULL;
	if (r->over || r->held == NULL)
		return;
	if (e != NULL) {
		reopen_stream_later(r);
		return;
	}
	json_array_foreach (json_object_get(answer, "data"), i, event) {
		last_id = json_string_value(json_object_get(event, "id"));
		r->past_anchor = r->past_anchor || (r->anchor_id != NULL && span_is(span_of(last_id), r->anchor_id));
		take_event(r, event, r->past_anchor);
	}
	const char *next = json_string_value(json_object_get(answer, "next_page"));
	if (next != NULL && *next != '\0')
		list_history(r, next);
	else
		history_complete(r, last_id);
}

static void list_history(struct run_session *r, const char *page)
{
	AUTO_FREE char *path = mem_printf("/v1/sessions/%s/events?limit=1000%s%s", r->id,
	                                  page == NULL ? "" : "&page=", page == NULL ? "" : page);
	r->past_anchor = r->past_anchor && page != NULL;
	r->missed = false;
	if (r->held == NULL)
		r->held = json_array();
	api_send(r->api, "GET", path, NULL, history_listed, r);
}

static void opened(void *arg, const json_t *session, const struct err *e)
{
	struct run_session *r = arg;
	if (e != NULL) {
		finish(r, e);
		return;
	}
	r->id = span_dup(json_span(json_object_get(session, "id")));
	run_view_session(r->view, session);
	open_stream(r);
}

struct run_session *run_session_start(struct api *api, struct run_view *view, const struct run_session_opts *opts,
                                      void (*ended)(void *arg, const struct err *e), void *arg)
{
	struct run_session *r = NEW(struct run_session);
	*r = (struct run_session){.api = api, .view = view, .opts = *opts, .ended = ended, .arg = arg};
	r->known = json_object();
	r->ask = run_ask_new(&(const struct run_ask_opts){api->loop, asking, decided, r});
	sse_decoder_init(&r->sse, FRAME_MAX);
	r->opening = run_open_start(api, &opts->open, opened, r);
	return r;
}

void run_session_free(struct run_session *r)
{
	run_ask_free(r->ask);
	loop_timer_cancel(&r->again);
	http_call_cancel(&r->stream);
	sse_decoder_fini(&r->sse);
	run_open_free(r->opening);
	json_decref(r->known);
	json_decref(r->held);
	json_decref(r->status);
	free(r->anchor_id);
	free(r->id);
	free(r);
}

const char *run_session_id(const struct run_session *r)
{
	return r->id;
}

bool run_session_interrupt(struct run_session *r)
{
	if (r->anchor_id == NULL || r->interrupted || r->over)
		return false;
	r->interrupted = true;
	run_ask_stop(r->ask);
	send_events(r, json_pack("[{s:s}]", "type", "user.interrupt"), sent_along);
	return true;
}

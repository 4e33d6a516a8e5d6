#include "cli/run_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/printable.h"
#include "net/sse.h"

#define FRAME_MAX (16U << 20)
#define RECONNECT_MS 500

struct run_session {
	struct api *api;
	struct run_view *view;
	struct run_session_opts opts;
	void (*ended)(void *arg, const struct err *e);
	void *arg;
	char *id;         // the session's
	char *message_id; // of what we sent, once it is stored
	json_t *asked;    // id -> call that waits for a confirmation
	struct http_call *stream;
	struct loop_timer *again;
	struct sse_decoder sse;
	bool past_message; // while the history is listed
	bool sent, interrupted, over;
};

static void find_agent(struct run_session *r, const char *page);
static void open_stream(void *arg);
static void list_history(struct run_session *r, const char *page);

static void finish(struct run_session *r, const struct err *e)
{
	if (r->over)
		return;
	r->over = true;
	r->ended(r->arg, e);
}

static void send_events(struct run_session *r, json_t *events, void (*done)(void *, const json_t *, const struct err *))
{
	AUTO_JSON json_t *body = json_pack("{s:o}", "events", events);
	AUTO_FREE char *path = mem_printf("/v1/sessions/%s/events", r->id);
	api_send(r->api, "POST", path, body, done, r);
}

static void confirmed(void *arg, const json_t *answer, const struct err *e)
{
	struct run_session *r = arg;
	(void)answer;
	if (e != NULL)
		finish(r, e);
}

static bool ask_person(const json_t *call)
{
	AUTO_FREE char *name = printable_line(json_span(json_object_get(call, "name")), 40);
	AUTO_FREE char *input = json_text(json_object_get(call, "input"), NULL);
	AUTO_FREE char *shown = printable_line(span_of(input), 600);
	char answer[16] = "";
	fprintf(stderr, "allow %s %s ? [y/N] ", name, shown);
	return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

// Every call that waits for a yes or no gets one from the person at the terminal, or ends this run where there is none.
static void confirm_calls(struct run_session *r)
{
	const char *id;
	json_t *call;
	json_t *events = json_array();
	json_object_foreach (r->asked, id, call) {
		if (!r->opts.interactive) {
			struct err e;
			err_set(&e, ERR_DENIED,
			        "%s waits for a confirmation and nobody is at a terminal\nanswer it: sallyport run --session "
			        "%s",
			        id, r->id);
			json_decref(events);
			finish(r, &e);
			return;
		}
		json_array_append_new(events, json_pack("{s:s, s:s, s:s}", "type", "user.tool_confirmation", "tool_use_id", id,
		                                        "result", ask_person(call) ? "allow" : "deny"));
	}
	json_object_clear(r->asked);
	if (json_array_size(events) > 0)
		send_events(r, events, confirmed);
	else
		json_decref(events);
}

static void turn_ended(struct run_session *r, const json_t *event)
{
	struct err e;
	struct span why = json_span(json_object_get(json_object_get(event, "stop_reason"), "type"));
	if (span_is(why, "requires_action")) {
		confirm_calls(r);
	} else if (span_is(why, "end_turn")) {
		finish(r, NULL);
	} else {
		err_set(&e, ERR_SYSTEM, "the turn ended: %.*s", SPAN_FMT(span_head(why, 60)));
		finish(r, &e);
	}
}

// `ours` is false for what stands before our own message in the history.
static void take_event(struct run_session *r, const json_t *event, bool ours)
{
	struct span type = json_span(json_object_get(event, "type"));
	const char *id = json_string_value(json_object_get(event, "id"));
	if (!ours || r->over)
		return;
	run_view_event(r->view, event);
	if (id != NULL && span_is(json_span(json_object_get(event, "evaluated_permission")), "ask"))
		json_object_set(r->asked, id, (json_t *)event);
	if (span_is(type, "user.tool_confirmation"))
		json_object_del(r->asked, json_string_value(json_object_get(event, "tool_use_id")) ?: "");
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
	r->message_id = span_dup(json_span(json_object_get(event, "id")));
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
	send_events(r, json_pack("[{s:s, s:o}]", "type", "user.message", "content", content), message_stored);
}

static bool stream_event(void *arg, struct span name, struct span data)
{
	struct run_session *r = arg;
	AUTO_JSON json_t *event = NULL;
	(void)name;
	if (!failed(json_parse_object(data, "event", &event, NULL)))
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
	if (!r->sent)
		send_message(r);
	else if (r->message_id != NULL)
		list_history(r, NULL);
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
	r->again = loop_timer_start(r->api->loop, RECONNECT_MS, open_stream, r);
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

// After a lost stream: what was missed stands in the history, behind our own message.
static void history_listed(void *arg, const json_t *answer, const struct err *e)
{
	struct run_session *r = arg;
	size_t i;
	json_t *event;
	if (e != NULL || r->over)
		return; // the stream goes on, or its own end tells
	json_array_foreach (json_object_get(answer, "data"), i, event) {
		r->past_message = r->past_message || span_is(json_span(json_object_get(event, "id")), r->message_id);
		take_event(r, event, r->past_message);
	}
	const char *next = json_string_value(json_object_get(answer, "next_page"));
	if (next != NULL && *next != '\0')
		list_history(r, next);
}

static void list_history(struct run_session *r, const char *page)
{
	AUTO_FREE char *path = mem_printf("/v1/sessions/%s/events?limit=1000%s%s", r->id,
	                                  page == NULL ? "" : "&page=", page == NULL ? "" : page);
	r->past_message = r->past_message && page != NULL;
	api_send(r->api, "GET", path, NULL, history_listed, r);
}

static void session_known(void *arg, const json_t *session, const struct err *e)
{
	struct run_session *r = arg;
	if (e != NULL) {
		finish(r, e);
		return;
	}
	r->id = span_dup(json_span(json_object_get(session, "id")));
	AUTO_FREE char *environment = printable_line(json_span(json_object_get(session, "environment_id")), 64);
	run_view_session(r->view, session, environment);
	open_stream(r);
}

static void make_session(struct run_session *r, const char *agent_id)
{
	AUTO_JSON json_t *body = json_pack("{s:s, s:s}", "agent", agent_id, "environment_id", r->opts.environment);
	api_send(r->api, "POST", "/v1/sessions", body, session_known, r);
}

static void agent_made(void *arg, const json_t *agent, const struct err *e)
{
	struct run_session *r = arg;
	if (e != NULL)
		finish(r, e);
	else
		make_session(r, json_string_value(json_object_get(agent, "id")));
}

static void make_agent(struct run_session *r)
{
	AUTO_JSON json_t *body = json_pack("{s:s, s:s, s:s*, s:[{s:s}]}", "name", r->opts.agent, "model", r->opts.model,
	                                   "system", r->opts.system, "tools", "type", "agent_toolset_20260401");
	api_send(r->api, "POST", "/v1/agents", body, agent_made, r);
}

static void agents_listed(void *arg, const json_t *answer, const struct err *e)
{
	struct run_session *r = arg;
	size_t i;
	json_t *agent;
	if (e != NULL) {
		finish(r, e);
		return;
	}
	json_array_foreach (json_object_get(answer, "data"), i, agent) {
		if (span_is(json_span(json_object_get(agent, "name")), r->opts.agent)) {
			make_session(r, json_string_value(json_object_get(agent, "id")));
			return;
		}
	}
	const char *next = json_string_value(json_object_get(answer, "next_page"));
	if (next != NULL && *next != '\0')
		find_agent(r, next);
	else
		make_agent(r);
}

static void find_agent(struct run_session *r, const char *page)
{
	AUTO_FREE char *path =
	        page == NULL ? mem_strdup("/v1/agents?limit=100") : mem_printf("/v1/agents?limit=100&page=%s", page);
	api_send(r->api, "GET", path, NULL, agents_listed, r);
}

struct run_session *run_session_start(struct api *api, struct run_view *view, const struct run_session_opts *opts,
                                      void (*ended)(void *arg, const struct err *e), void *arg)
{
	struct run_session *r = NEW(struct run_session);
	*r = (struct run_session){.api = api, .view = view, .opts = *opts, .ended = ended, .arg = arg, .asked = json_object()};
	sse_decoder_init(&r->sse, FRAME_MAX);
	if (opts->session != NULL) {
		AUTO_FREE char *path = mem_printf("/v1/sessions/%s", opts->session);
		api_send(api, "GET", path, NULL, session_known, r);
	} else {
		find_agent(r, NULL);
	}
	return r;
}

void run_session_free(struct run_session *r)
{
	loop_timer_cancel(&r->again);
	http_call_cancel(&r->stream);
	sse_decoder_fini(&r->sse);
	json_decref(r->asked);
	free(r->message_id);
	free(r->id);
	free(r);
}

bool run_session_interrupt(struct run_session *r)
{
	if (r->message_id == NULL || r->interrupted || r->over)
		return false;
	r->interrupted = true;
	send_events(r, json_pack("[{s:s}]", "type", "user.interrupt"), confirmed);
	return true;
}

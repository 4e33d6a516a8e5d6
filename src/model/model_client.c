#include "model/model_client.h"

#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/http_client.h"

#define KEY_MAX 4096
#define CA_MAX (4 * 1024 * 1024)
#define ERROR_BODY_MAX (64 * 1024)
#define END_WAIT_MS 1000

struct model_client {
	struct loop *loop;
	const struct config_control *control;
	struct http_client *http;
	struct buf *keys;          // one a model, empty without a key
	struct model_line **lines; // one a model
};

struct model_call {
	struct loop *loop;
	struct model_call_opts o;
	struct http_call *http;
	struct loop_timer *over; // set when the stream has decided the outcome: what comes after it is not looked at
	struct model_decoder *decoder;
	struct buf error_body; // of an answer that is none
	int status;
	struct model_failure failure;
};

static struct result read_key(const struct config_model *m, struct buf *key, struct err *e)
{
	if (!failed(file_read_key(m->key_file, key, e)))
		return OK;
	if (e->kind != ERR_NOT_FOUND)
		return FAIL;
	return err_set(e, ERR_NOT_FOUND,
	               "%s: no such file\nput the key of %s into it (one line, mode 0600), or leave key_file out", m->key_file,
	               m->url);
}

// Who vouches for an endpoint is read anew at each connection: that it can be is found out now.
static struct result check_authorities(const struct config_model *m, struct err *e)
{
	AUTO_BUF struct buf pem;
	buf_init(&pem, CA_MAX);
	if (m->ca_file == NULL)
		return OK;
	TRY(file_read(m->ca_file, &pem, e));
	if (memmem(buf_span(&pem).data, buf_len(&pem), "-----BEGIN CERTIFICATE", 22) == NULL)
		return err_set(e, ERR_INVALID, "%s: holds no certificate in PEM", m->ca_file);
	return OK;
}

static struct result read_keys(struct model_client *c, struct err *e)
{
	for (size_t i = 0; i < c->control->n_models; i++) {
		buf_init(&c->keys[i], KEY_MAX);
		if (c->control->models[i].key_file != NULL)
			TRY(read_key(&c->control->models[i], &c->keys[i], e));
		TRY(check_authorities(&c->control->models[i], e));
	}
	return OK;
}

struct result model_client_new(struct loop *l, const struct config_control *control, struct model_client **out, struct err *e)
{
	struct model_client *c = NEW(struct model_client);
	*c = (struct model_client){.loop = l, .control = control};
	c->keys = mem_zero((control->n_models + 1) * sizeof(*c->keys));
	c->lines = mem_zero((control->n_models + 1) * sizeof(struct model_place_line *));
	for (size_t i = 0; i < control->n_models; i++)
		c->lines[i] = model_place_line_new(l, control->models[i].requests);
	struct http_client_opts opts = {.user_agent = "sallyport/" SALLYPORT_VERSION};
	if (failed(read_keys(c, e)) || failed(http_client_new(l, &opts, &c->http, e))) {
		model_client_free(c);
		return FAIL;
	}
	*out = c;
	return OK;
}

void model_client_free(struct model_client *c)
{
	if (c == NULL)
		return;
	if (c->http != NULL)
		http_client_free(c->http);
	for (size_t i = 0; i < c->control->n_models; i++) {
		if (c->keys[i].mem != NULL)
			mem_wipe(c->keys[i].mem, c->keys[i].cap);
		buf_fini(&c->keys[i]);
		model_place_line_free(c->lines[i]);
	}
	free(c->keys);
	free(c->lines);
	free(c);
}

const struct config_model *model_client_find(const struct model_client *c, struct span model)
{
	for (size_t i = 0; i < c->control->n_models; i++) {
		struct span name = span_of(c->control->models[i].name);
		bool prefix = name.len > 0 && name.data[name.len - 1] == '*';
		struct span head = span_head(name, name.len - 1);
		if (prefix ? span_eq(span_head(model, head.len), head) : span_eq(name, model))
			return &c->control->models[i];
	}
	return NULL;
}

struct model_line *model_client_line(const struct model_client *c, const struct config_model *m)
{
	return c->lines[m - c->control->models];
}

static void call_free(struct model_call *call)
{
	http_call_cancel(&call->http);
	loop_timer_cancel(&call->over);
	model_decoder_free(call->decoder);
	buf_fini(&call->error_body);
	free(call);
}

void model_call_cancel(struct model_call **call)
{
	if (*call != NULL)
		call_free(*call);
	*call = NULL;
}

// Gives the outcome: the answer if it is whole, else `call->failure` or what the decoder says.
static void finish(struct model_call *call, bool failed_before)
{
	struct model_call_opts o = call->o;
	struct model_failure failure = call->failure;
	struct model_answer answer;
	bool whole = !failed_before && model_decoder_end(call->decoder, &answer, &failure);
	call_free(call);
	o.done(o.arg, whole ? &answer : NULL, whole ? NULL : &failure);
}

static void on_over(void *arg)
{
	struct model_call *call = arg;
	call->over = NULL;
	finish(call, false);
}

static void on_head(void *arg, int status)
{
	((struct model_call *)arg)->status = status;
}

static void on_data(void *arg, struct span bytes)
{
	struct model_call *call = arg;
	if (call->status != 200) {
		size_t room = ERROR_BODY_MAX - buf_len(&call->error_body);
		BUG_ON(!buf_add(&call->error_body, span_head(bytes, room)));
		return;
	}
	if (call->over != NULL)
		return;
	// A failed answer ends from the loop, not from inside this callback. A whole one waits a moment for the stream's own
	// end, so that the connection can serve again.
	if (!model_decoder_feed(call->decoder, bytes, &call->failure))
		call->over = loop_timer_start(call->loop, 0, on_over, call);
	else if (model_decoder_whole(call->decoder))
		call->over = loop_timer_start(call->loop, END_WAIT_MS, on_over, call);
}

// What came to its end, with status 200, and was no answer: a page of some proxy's, or an endpoint of another kind.
static void say_what_came(struct model_call *call)
{
	const char *type = http_call_field(call->http, "content-type");
	char what[128];
	if (type == NULL || span_starts(span_of(type), "text/event-stream"))
		return;
	snprintf(what, sizeof(what), "it is no event stream but %.60s; is this the url of a Messages API?", type);
	model_failure_transport(&call->failure, what);
}

static void on_done(void *arg, int status, struct span body, const struct err *e)
{
	struct model_call *call = arg;
	(void)body;
	const char *retry_after = http_call_field(call->http, "retry-after");
	bool decided = call->over != NULL;
	if (!decided && e != NULL)
		model_failure_transport(&call->failure, e->msg);
	else if (!decided && status != 200)
		model_failure_status(&call->failure, status, buf_span(&call->error_body), retry_after);
	else if (!decided && !model_decoder_whole(call->decoder))
		say_what_came(call);
	call->http = NULL;
	finish(call, !decided && call->failure.type != NULL);
}

static const struct buf *key_of(const struct model_client *c, const struct config_model *m)
{
	return &c->keys[m - c->control->models];
}

static void start_http(struct model_client *c, struct model_call *call)
{
	const struct config_model *m = call->o.model;
	struct span base = span_of(m->url), key = buf_span(key_of(c, m));
	while (base.len > 0 && base.data[base.len - 1] == '/')
		base.len--;
	AUTO_FREE char *url = mem_printf("%.*s/v1/messages", SPAN_FMT(base));
	char *key_field = key.len > 0 ? mem_printf("x-api-key: %.*s", SPAN_FMT(key)) : NULL;
	const char *fields[] = {"content-type: application/json",
	                        "accept: text/event-stream",
	                        "anthropic-version: 2023-06-01",
	                        NULL,
	                        NULL,
	                        NULL};
	const char **end = &fields[3];
	if (key_field != NULL)
		*end++ = key_field;
	if (call->o.fast)
		*end++ = "anthropic-beta: fast-mode-2026-02-01";
	struct http_call_opts opts = {
	        .method = "POST",
	        .url = url,
	        .ca_file = m->ca_file,
	        .fields = fields,
	        .body = call->o.body,
	        .silence_timeout_ms = m->silence_ms,
	        .on_head = on_head,
	        .on_data = on_data,
	        .done = on_done,
	        .arg = call,
	};
	call->http = http_call_start(c->http, &opts);
	if (key_field != NULL)
		mem_wipe(key_field, strlen(key_field));
	free(key_field);
}

struct model_call *model_call_start(struct model_client *c, const struct model_call_opts *o)
{
	struct model_call *call = NEW(struct model_call);
	*call = (struct model_call){.loop = c->loop, .o = *o, .decoder = model_decoder_new(&o->while_it_comes)};
	buf_init(&call->error_body, ERROR_BODY_MAX);
	start_http(c, call);
	call->o.body = (struct span){NULL, 0};
	return call;
}

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/model_client.h"
#include "net/http_server.h"

#define FRAME(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define ANSWER                                                                                           \
	FRAME("message_start", ",\"message\":{}")                                                        \
	FRAME("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}") \
	FRAME("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}") \
	FRAME("content_block_stop", ",\"index\":0")                                                      \
	FRAME("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}") FRAME("message_stop", "")

// A server on the same loop that does one thing for every request.
struct world {
	struct loop *loop;
	struct http_server *server;
	struct model_client *client;
	struct config_model model;
	struct config_control control;
	char key_path[64], url[64];
	enum deed { WHOLE, NO_END, CUT, GARBAGE, STATUS, SILENT, STREAM_STAYS, PAGE } deed;
	char seen[512]; // of the request
	struct model_call *call;
	bool answered, retry;
	char type[64], text[512];
	uint64_t retry_after_ms;
};

static void gone(void *arg)
{
	(void)arg;
}

static void handle(void *arg, struct http_exchange *x)
{
	struct world *w = arg;
	const struct http1_request *q = http_exchange_request(x);
	struct span body = http_exchange_body(x), key = http1_field_get(q, "x-api-key");
	snprintf(w->seen, sizeof(w->seen), "%.*s %.*s key=%.*s version=%.*s %.*s", SPAN_FMT(q->method), SPAN_FMT(q->path),
	         SPAN_FMT(key), SPAN_FMT(http1_field_get(q, "anthropic-version")), SPAN_FMT(body));
	http_exchange_on_gone(x, gone, NULL);
	if (w->deed == STATUS) {
		struct http_answer a = {.status = 429, .content_type = "application/json", .fields = "Retry-After: 3\r\n"};
		http_exchange_answer(x, &a, SPAN_LIT("{\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}"));
		return;
	}
	if (w->deed == PAGE) {
		http_exchange_answer(x, &(struct http_answer){.status = 200, .content_type = "text/html"},
		                     SPAN_LIT("<p>hello"));
		return;
	}
	struct http_answer a = {.status = 200, .content_type = "text/event-stream"};
	http_exchange_stream(x, &a);
	struct span whole = SPAN_LIT(ANSWER);
	if (w->deed == WHOLE || w->deed == STREAM_STAYS)
		http_exchange_send(x, whole);
	else if (w->deed == GARBAGE)
		http_exchange_send(x, SPAN_LIT("event: x\ndata: {{{\n\n"));
	else
		http_exchange_send(x, span_head(whole, whole.len / 2));
	if (w->deed == CUT)
		http_exchange_abort(x);
	else if (w->deed == WHOLE || w->deed == NO_END)
		http_exchange_end(x);
}

static void done(void *arg, struct model_answer *answer, const struct model_failure *f)
{
	struct world *w = arg;
	w->call = NULL;
	w->answered = answer != NULL;
	if (answer != NULL) {
		snprintf(w->text, sizeof(w->text), "%s",
		         json_string_value(json_object_get(json_array_get(answer->content, 0), "text")));
		model_answer_fini(answer);
	} else {
		w->retry = f->retry;
		w->retry_after_ms = f->retry_after_ms;
		snprintf(w->type, sizeof(w->type), "%s", f->type);
		snprintf(w->text, sizeof(w->text), "%s", f->message);
	}
	loop_stop(w->loop);
}

static int set_up(void **state)
{
	struct world *w = NEW(struct world);
	struct err e;
	assert_false(failed(loop_new(&w->loop, &e)));
	struct http_server_opts opts = {.listen = "127.0.0.1:0",
	                                .body_max = 1000,
	                                .connections_max = 10,
	                                .head_timeout_ms = 5000,
	                                .idle_timeout_ms = 5000,
	                                .handle = handle,
	                                .arg = w};
	assert_false(failed(http_server_start(w->loop, &opts, &w->server, &e)));
	snprintf(w->url, sizeof(w->url), "http://%s/", http_server_address(w->server));
	snprintf(w->key_path, sizeof(w->key_path), "/tmp/sp-test-key-%d", (int)getpid());
	assert_false(failed(file_write_atomic(w->key_path, SPAN_LIT("secret\n"), 0600, &e)));
	w->model =
	        (struct config_model){.name = (char *)"claude-*", .url = w->url, .key_file = w->key_path, .silence_ms = 1000};
	w->control = (struct config_control){.models = &w->model, .n_models = 1};
	assert_false(failed(model_client_new(w->loop, &w->control, &w->client, &e)));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	model_call_cancel(&w->call);
	model_client_free(w->client);
	http_server_stop(&w->server);
	loop_free(w->loop);
	unlink(w->key_path);
	free(w);
	return 0;
}

static void ask(struct world *w, enum deed deed)
{
	w->deed = deed;
	struct model_call_opts o = {.model = &w->model, .body = SPAN_LIT("{\"b\":1}"), .done = done, .arg = w};
	w->call = model_call_start(w->client, &o);
	loop_run(w->loop);
}

static void a_whole_answer_is_given(void **state)
{
	struct world *w = *state;
	ask(w, WHOLE);
	assert_true(w->answered);
	assert_string_equal(w->text, "hi");
	assert_string_equal(w->seen, "POST /v1/messages key=secret version=2023-06-01 {\"b\":1}");
	ask(w, STREAM_STAYS); // whole at message_stop, whatever the connection does then
	assert_true(w->answered);
}

static void what_is_not_whole_is_a_failure(void **state)
{
	struct world *w = *state;
	static const enum deed deeds[] = {NO_END, CUT, GARBAGE, SILENT};
	for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
		ask(w, deeds[i]);
		assert_false(w->answered);
		assert_true(w->retry);
		assert_string_equal(w->type, "model_request_failed_error");
	}
	ask(w, PAGE);
	assert_true(!w->answered && w->retry);
	assert_non_null(strstr(w->text, "no event stream but text/html"));
	ask(w, STATUS);
	assert_false(w->answered);
	assert_string_equal(w->type, "model_rate_limited_error");
	assert_string_equal(w->text, "the model endpoint answered 429 rate_limit_error: slow");
	assert_int_equal(w->retry_after_ms, 3000);
}

static void nobody_there_is_a_failure(void **state)
{
	struct world *w = *state;
	struct config_model gone_model = w->model;
	gone_model.url = (char *)"http://127.0.0.1:1";
	gone_model.key_file = NULL;
	struct config_control control = {.models = &gone_model, .n_models = 1};
	struct model_client *client;
	struct err e;
	assert_false(failed(model_client_new(w->loop, &control, &client, &e)));
	struct model_call_opts o = {.model = &gone_model, .body = SPAN_LIT("{}"), .done = done, .arg = w};
	w->call = model_call_start(client, &o);
	loop_run(w->loop);
	assert_false(w->answered);
	assert_true(w->retry);
	model_client_free(client);
}

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

static void a_cancelled_call_says_nothing(void **state)
{
	struct world *w = *state;
	w->deed = SILENT;
	w->answered = true;
	struct model_call_opts o = {.model = &w->model, .body = SPAN_LIT("{}"), .done = done, .arg = w};
	w->call = model_call_start(w->client, &o);
	model_call_cancel(&w->call);
	assert_null(w->call);
	w->call = model_call_start(w->client, &o);
	(void)loop_timer_start(w->loop, 100, stop_loop, w->loop);
	loop_run(w->loop);
	model_call_cancel(&w->call);
	assert_true(w->answered);
}

static void the_first_fitting_model_is_found(void **state)
{
	(void)state;
	struct config_model models[] = {{.name = (char *)"a"}, {.name = (char *)"a-*"}, {.name = (char *)"*"}};
	struct config_control control = {.models = models, .n_models = 3};
	struct world *w = *state;
	struct model_client *c;
	struct err e;
	assert_false(failed(model_client_new(w->loop, &control, &c, &e)));
	assert_ptr_equal(model_client_find(c, SPAN_LIT("a")), &models[0]);
	assert_ptr_equal(model_client_find(c, SPAN_LIT("a-b")), &models[1]);
	assert_ptr_equal(model_client_find(c, SPAN_LIT("b")), &models[2]);
	assert_null(model_client_find(w->client, SPAN_LIT("b")));
	model_client_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_whole_answer_is_given, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_not_whole_is_a_failure, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(nobody_there_is_a_failure, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_cancelled_call_says_nothing, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_first_fitting_model_is_found, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

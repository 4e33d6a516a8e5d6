#include "replay/replay.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/http_server.h"
#include "replay/play.h"
#include "replay/reply.h"

#define MODELS_PATH "/v1/models"
#define BODY_MAX (64 * 1024 * 1024)

struct replay {
	struct loop *loop;
	const struct scenario *scenario;
	struct http_server *server;
	uint64_t *played; // by step index: faults played so far
};

static void answer_json(struct http_exchange *x, int status, const char *fields, json_t *body)
{
	size_t len;
	char *AUTO_FREE text = json_text(body, &len);
	struct http_answer a = {.status = status, .content_type = "application/json", .fields = fields};
	http_exchange_answer(x, &a, (struct span){text, len});
	json_decref(body);
}

static void refuse(struct http_exchange *x, int status, struct span type, const char *fields, const char *message)
{
	json_t *body = json_pack("{s:s, s:{s:s%, s:o}, s:s}", "type", "error", "error", "type", type.data, type.len, "message",
	                         json_string_lossy(span_of(message)), "request_id", "req_replay");
	answer_json(x, status, fields, body);
}

static struct span type_of_status(uint64_t status)
{
	switch (status) {
	case 400:
		return SPAN_LIT("invalid_request_error");
	case 401:
		return SPAN_LIT("authentication_error");
	case 402:
		return SPAN_LIT("billing_error");
	case 403:
		return SPAN_LIT("permission_error");
	case 404:
		return SPAN_LIT("not_found_error");
	case 413:
		return SPAN_LIT("request_too_large");
	case 429:
		return SPAN_LIT("rate_limit_error");
	case 504:
		return SPAN_LIT("timeout_error");
	case 529:
		return SPAN_LIT("overloaded_error");
	default:
		return SPAN_LIT("api_error");
	}
}

static void play_status(struct http_exchange *x, const struct scenario_fault *f)
{
	char fields[64] = "";
	if (f->retry_after != UINT64_MAX)
		snprintf(fields, sizeof(fields), "Retry-After: %llu\r\n", (unsigned long long)f->retry_after);
	refuse(x, (int)f->status, f->type.len > 0 ? f->type : type_of_status(f->status), fields, "an error of the scenario");
}

// The fault due for this step, counting it as played; NULL when all of them were.
static const struct scenario_fault *fault_due(struct replay *r, const struct scenario_step *step)
{
	uint64_t n = r->played[step->index];
	for (size_t i = 0; i < step->n_faults; i++) {
		if (n < step->faults[i].times) {
			r->played[step->index]++;
			return &step->faults[i];
		}
		n -= step->faults[i].times;
	}
	return NULL;
}

// Answers a request that was read; takes nothing. On failure nothing was answered.
static struct result answer(struct replay *r, struct http_exchange *x, const json_t *request, struct err *e)
{
	struct conversation c;
	TRY(conversation_read(request, &c, e));
	const struct scenario_scene *scene;
	const struct scenario_step *step;
	json_t *AUTO_JSON message = NULL;
	struct span model = json_span(json_object_get(request, "model"));
	struct result found = reply_find(r->scenario, &c, &scene, &step, e);
	if (!failed(found))
		found = reply_message(scene, step, &c, model, &message, e);
	size_t turn = c.turn;
	conversation_fini(&c);
	TRY(found);
	const struct scenario_fault *fault = fault_due(r, step);
	log_info("replay.answer", "step=%zu turn=%zu fault=%s", step->index + 1, turn, fault == NULL ? "no" : "yes");
	if (fault != NULL && fault->deed == SCENARIO_STATUS)
		play_status(x, fault);
	else
		play_start(r->loop, x, message, step->pace_us, fault, json_is_true(json_object_get(request, "stream")));
	return OK;
}

static json_t *model_json(struct span id)
{
	return json_pack("{s:s, s:s%, s:s, s:s}", "type", "model", "id", id.data, id.len, "display_name",
	                 "A replayed scenario (no model)", "created_at", "2026-01-01T00:00:00Z");
}

// It answers under any name; asked what there is, it gives the one that says what it is.
static void answer_models(struct http_exchange *x, struct span path)
{
	struct span one = span_skip(path, sizeof(MODELS_PATH));
	if (one.len > 0 && one.len <= 256 && span_is_utf8(one) && memchr(one.data, '/', one.len) == NULL) {
		answer_json(x, 200, NULL, model_json(one));
		return;
	}
	answer_json(x, 200, NULL,
	            json_pack("{s:[o], s:b, s:s, s:s}", "data", model_json(SPAN_LIT("replay")), "has_more", 0, "first_id",
	                      "replay", "last_id", "replay"));
}

static void handle(void *arg, struct http_exchange *x)
{
	struct replay *r = arg;
	const struct http1_request *q = http_exchange_request(x);
	if (span_is(q->method, "GET") && (span_is(q->path, MODELS_PATH) || span_starts(q->path, MODELS_PATH "/"))) {
		answer_models(x, q->path);
		return;
	}
	if (!span_is(q->path, "/v1/messages")) {
		refuse(x, 404, type_of_status(404), NULL,
		       "this server replays a scenario: it has POST /v1/messages and GET /v1/models only");
		return;
	}
	if (!span_is(q->method, "POST")) {
		refuse(x, 405, type_of_status(400), NULL, "use POST");
		return;
	}
	struct err e;
	json_t *AUTO_JSON request = NULL;
	struct result done = json_parse_object(http_exchange_body(x), "the request", &request, &e);
	if (!failed(done))
		done = answer(r, x, request, &e);
	if (failed(done)) {
		log_warn("replay.refused", "why=%s", LOG_Q(span_of(e.msg)));
		refuse(x, 400, type_of_status(400), NULL, e.msg);
	}
}

struct result replay_start(struct loop *l, const struct scenario *scenario, const char *listen, struct replay **out,
                           struct err *e)
{
	struct replay *r = NEW(struct replay);
	*r = (struct replay){.loop = l, .scenario = scenario};
	r->played = mem_zero((scenario->n_steps + 1) * sizeof(*r->played));
	struct http_server_opts opts = {
	        .listen = listen,
	        .body_max = BODY_MAX,
	        .connections_max = 1024,
	        .head_timeout_ms = 30000,
	        .idle_timeout_ms = 120000,
	        .handle = handle,
	        .arg = r,
	};
	if (failed(http_server_start(l, &opts, &r->server, e))) {
		free(r->played);
		free(r);
		return FAIL;
	}
	*out = r;
	return OK;
}

void replay_stop(struct replay **r)
{
	if (*r == NULL)
		return;
	http_server_stop(&(*r)->server); // every play ends with its exchange
	free((*r)->played);
	free(*r);
	*r = NULL;
}

const char *replay_address(const struct replay *r)
{
	return http_server_address(r->server);
}

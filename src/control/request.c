#include "control/request.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/protocol.h"

static void client_gone(void *arg)
{
	struct request *r = arg;
	r->x = NULL;
	if (r->gone != NULL)
		r->gone(r->gone_arg);
}

struct request *request_new(struct control *c, struct http_exchange *x)
{
	struct request *r = NEW(struct request);
	r->c = c;
	r->x = x;
	id_make(r->id, "req");
	http_exchange_on_gone(x, client_gone, r);
	return r;
}

void request_free(struct request *r)
{
	BUG_ON(r->x != NULL);
	for (size_t i = 0; i < r->n_segments; i++)
		free(r->segments[i]);
	for (size_t i = 0; i < r->n_query; i++) {
		free(r->query[i].name);
		free(r->query[i].value);
	}
	json_decref(r->body);
	free(r);
}

static void answer(struct request *r, int status, const char *extra, struct span body)
{
	if (r->x != NULL) {
		const char *calls = r->calls, *name = calls == NULL ? "" : PROTOCOL_CALLS_FIELD ": ";
		char fields[192];
		snprintf(fields, sizeof(fields), "request-id: %s\r\n%s%s%s%s", r->id, extra, name, calls == NULL ? "" : calls,
		         calls == NULL ? "" : "\r\n");
		http_exchange_answer(r->x, &(struct http_answer){status, "application/json", fields}, body);
		r->x = NULL;
	}
	request_free(r);
}

void request_answer(struct request *r, struct span json_text)
{
	answer(r, 200, "", json_text);
}

void request_answer_json(struct request *r, json_t *json)
{
	size_t len = 0;
	AUTO_FREE char *text = json_text(json, &len);
	json_decref(json);
	answer(r, 200, "", span_from(text, len));
}

static const struct {
	enum err_kind kind;
	int status;
	const char *type;
} refusals[] = {
        {ERR_INVALID, 400, "invalid_request_error"},
        {ERR_MISUSED, 400, "invalid_request_error"},
        {ERR_UNAUTHENTICATED, 401, "authentication_error"},
        {ERR_DENIED, 403, "permission_error"},
        {ERR_NOT_FOUND, 404, "not_found_error"},
        {ERR_CONFLICT, 409, "invalid_request_error"},
        {ERR_TOO_LARGE, 413, "request_too_large"},
        {ERR_UNREACHABLE, 503, "api_error"},
        {ERR_CORRUPT, 500, "api_error"},
        {ERR_SYSTEM, 500, "api_error"},
};

void request_refuse(struct request *r, const struct err *e, const struct request_error *more)
{
	int status = 500;
	const char *type = "api_error";
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (refusals[i].kind == e->kind) {
			status = refusals[i].status;
			type = refusals[i].type;
		}
	}
	if (more != NULL && more->status != 0)
		status = more->status;
	if (more != NULL && more->type != NULL)
		type = more->type;
	json_t *error = json_pack("{s:s, s:o}", "type", type, "message", json_string_lossy(span_of(e->msg)));
	if (more != NULL && more->details != NULL)
		json_object_set_new(error, "details", more->details);
	AUTO_JSON json_t *body = json_pack("{s:s, s:o, s:s}", "type", "error", "error", error, "request_id", r->id);
	size_t len = 0;
	AUTO_FREE char *text = json_text(body, &len);
	answer(r, status, more != NULL && more->final ? "x-should-retry: false\r\n" : "", span_from(text, len));
}

void request_refuse_kind(struct request *r, enum err_kind kind, const char *fmt, ...)
{
	struct err e = {.kind = kind};
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e.msg, sizeof(e.msg), fmt, ap);
	va_end(ap);
	request_refuse(r, &e, NULL);
}

static bool same_param(const char *sent, const char *name)
{
	size_t n = strlen(name);
	return strncmp(sent, name, n) == 0 && (sent[n] == '\0' || strcmp(sent + n, "[]") == 0);
}

const char *request_param_nth(const struct request *r, const char *name, size_t n)
{
	for (size_t i = 0; i < r->n_query; i++) {
		if (same_param(r->query[i].name, name) && n-- == 0)
			return r->query[i].value;
	}
	return NULL;
}

const char *request_param(const struct request *r, const char *name)
{
	return request_param_nth(r, name, 0);
}

struct result request_param_int(const struct request *r, const char *name, int64_t min, int64_t max, int64_t dflt, int64_t *out,
                                struct err *e)
{
	*out = dflt;
	const char *value = request_param(r, name);
	if (value == NULL || value[0] == '\0')
		return OK;
	uint64_t n = 0;
	if (failed(span_to_u64(span_of(value), INT64_MAX, name, &n, NULL)) || (int64_t)n < min || (int64_t)n > max)
		return err_set(e, ERR_INVALID, "%s: must be a whole number from %lld to %lld", name, (long long)min,
		               (long long)max);
	*out = (int64_t)n;
	return OK;
}

struct result request_param_bool(const struct request *r, const char *name, bool dflt, bool *out, struct err *e)
{
	*out = dflt;
	const char *value = request_param(r, name);
	if (value == NULL)
		return OK;
	*out = strcmp(value, "true") == 0;
	if (!*out && strcmp(value, "false") != 0)
		return err_set(e, ERR_INVALID, "%s: must be true or false", name);
	return OK;
}

struct result request_param_time(const struct request *r, const char *name, int64_t dflt, int64_t *out, struct err *e)
{
	*out = dflt;
	const char *value = request_param(r, name);
	if (value == NULL)
		return OK;
	if (failed(clock_parse(span_of(value), out, NULL)))
		return err_set(e, ERR_INVALID, "%s: must be an RFC 3339 time, such as 2026-11-24T09:00:00Z", name);
	return OK;
}

struct result request_parse_body(struct request *r, bool optional, struct err *e)
{
	struct span text = http_exchange_body(r->x);
	if (text.len == 0 && optional) {
		r->body = json_object();
		return OK;
	}
	return json_parse_object_lossy(text, "the request's body", &r->body, e);
}

char *request_header(const struct request *r, const char *name, size_t max)
{
	struct span v = http1_field_get(http_exchange_request(r->x), name);
	if (v.len == 0 || v.len > max)
		return NULL;
	for (size_t i = 0; i < v.len; i++) {
		if (v.data[i] < 0x20 || v.data[i] > 0x7e)
			return NULL;
	}
	return span_dup(v);
}

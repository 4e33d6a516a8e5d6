#include "model/model_failure.h"

#include <stdio.h>

#include "base/json.h"

#define RETRY_AFTER_MAX_MS 300000
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 30000

static void set(struct model_failure *f, bool retry, const char *type)
{
	*f = (struct model_failure){.retry = retry, .type = type};
}

void model_failure_transport(struct model_failure *f, const char *what)
{
	set(f, true, "model_request_failed_error");
	snprintf(f->message, sizeof(f->message), "the model gave no whole answer: %.400s", what);
}

void model_failure_final(struct model_failure *f, const char *what)
{
	set(f, false, "model_request_failed_error");
	snprintf(f->message, sizeof(f->message), "%.500s", what);
}

// The session.error for an error of the Messages API, by its type.
static const char *error_type(struct span type)
{
	if (span_is(type, "overloaded_error"))
		return "model_overloaded_error";
	if (span_is(type, "rate_limit_error"))
		return "model_rate_limited_error";
	return span_is(type, "billing_error") ? "billing_error" : "model_request_failed_error";
}

static bool worth_retrying(int status)
{
	return status == 408 || status == 409 || status == 429 || status >= 500;
}

// Whole seconds; anything else counts as nothing asked for.
static uint64_t retry_after_ms(const char *field)
{
	uint64_t seconds;
	if (field == NULL || failed(span_to_u64(span_trim(span_of(field)), UINT32_MAX, "retry-after", &seconds, NULL)))
		return 0;
	return seconds * 1000 > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : seconds * 1000;
}

void model_failure_status(struct model_failure *f, int status, struct span body, const char *retry_after)
{
	json_t *AUTO_JSON j = NULL;
	if (failed(json_parse_object(body, "the error", &j, NULL)))
		j = NULL;
	const json_t *error = json_object_get(j, "error");
	struct span type = json_span(json_object_get(error, "type")), message = json_span(json_object_get(error, "message"));
	const char *session_type = error_type(type);
	if (status == 529)
		session_type = "model_overloaded_error";
	else if (status == 429)
		session_type = "model_rate_limited_error";
	else if (status == 402)
		session_type = "billing_error";
	set(f, worth_retrying(status), session_type);
	f->retry_after_ms = retry_after_ms(retry_after);
	snprintf(f->message, sizeof(f->message), "the model endpoint answered %d%s%.*s%s%.*s", status, type.len > 0 ? " " : "",
	         SPAN_FMT(span_head(type, 60)), message.len > 0 ? ": " : "", SPAN_FMT(span_head(message, 300)));
}

void model_failure_event(struct model_failure *f, struct span type, struct span message)
{
	static const char *const final[] = {"invalid_request_error", "authentication_error", "permission_error",
	                                    "not_found_error",       "request_too_large",    "billing_error"};
	bool retry = true;
	for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++)
		retry &= !span_is(type, final[i]);
	set(f, retry, error_type(type));
	snprintf(f->message, sizeof(f->message), "the model's stream ended in an error: %.*s: %.*s",
	         SPAN_FMT(span_head(type, 60)), SPAN_FMT(span_head(message, 300)));
}

uint64_t model_failure_backoff_ms(const struct model_failure *f, unsigned failures, uint64_t random)
{
	uint64_t ms = BACKOFF_FIRST_MS;
	for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	ms -= random % (ms / 4 + 1);
	return ms < f->retry_after_ms ? f->retry_after_ms : ms;
}

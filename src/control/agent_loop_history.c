#include "control/agent_loop_history.h"

static bool is_failure(const struct event_view *v)
{
	json_t *AUTO_JSON j = NULL;
	struct err e;
	return !failed(json_parse_object(v->json, "a stored event", &j, &e)) && json_is_true(json_object_get(j, "is_error"));
}

struct agent_loop_history agent_loop_history(const struct event_view *events, size_t n)
{
	struct agent_loop_history h = {0};
	for (size_t i = 0; i < n; i++) {
		const struct event_view *v = &events[i];
		if (span_is(v->type, "user.message"))
			h.requests = 0;
		else if (span_is(v->type, "span.model_request_start"))
			h.requests++;
		if (span_is(v->type, "span.model_request_end") && is_failure(v))
			h.failures++;
		else if (span_starts(v->type, "user.") || span_starts(v->type, "agent.") ||
		         span_is(v->type, "session.status_idle"))
			h.failures = 0;
	}
	return h;
}

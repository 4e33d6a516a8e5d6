#include "control/agent_loop_history.h"

static bool is_failure(const struct event_view *v)
{
	json_t *AUTO_JSON j = NULL;
	struct err e;
	return span_is(v->type, "span.model_request_end") && !failed(json_parse_object(v->json, "a stored event", &j, &e)) &&
	       json_is_true(json_object_get(j, "is_error"));
}

// From the end, and only as far as it matters: a session may be long.
struct agent_loop_history agent_loop_history(const struct event_view *events, size_t n)
{
	struct agent_loop_history h = {0};
	bool in_a_row = true;
	while (n-- > 0) {
		const struct event_view *v = &events[n];
		if (span_is(v->type, "user.message"))
			break;
		h.requests += span_is(v->type, "span.model_request_start");
		if (span_starts(v->type, "user.") || span_starts(v->type, "agent.") || span_is(v->type, "session.status_idle"))
			in_a_row = false;
		h.failures += in_a_row && is_failure(v);
	}
	return h;
}

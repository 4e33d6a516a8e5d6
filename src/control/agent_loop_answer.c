#include "control/agent_loop_answer.h"

#include <stdio.h>

#include "base/mem.h"
#include "control/event_log.h"
#include "model/model_tools.h"

bool agent_loop_ids_add(struct agent_loop_ids *ids, struct span block_type)
{
	size_t i = ids->n++;
	BUG_ON(i >= MODEL_ANSWER_BLOCKS_MAX);
	ids->is_text[i] = span_is(block_type, "text");
	bool joins = ids->is_text[i] && i > 0 && ids->is_text[i - 1];
	ids->part[i] = joins ? ids->part[i - 1] + 1 : 0;
	if (joins)
		memcpy(ids->of_block[i], ids->of_block[i - 1], ID_MAX);
	else
		id_make(ids->of_block[i], EVENT_ID_PREFIX);
	return !joins;
}

json_t *agent_loop_error(const char *type, const char *message, const char *retry_status)
{
	return json_pack("{s:s, s:{s:s, s:o, s:{s:s}}}", "type", "session.error", "error", "type", type, "message",
	                 json_string_lossy(span_of(message)), "retry_status", "type", retry_status);
}

static void add_text(json_t *events, const json_t *block, const char *id)
{
	if (json_string_length(json_object_get(block, "text")) == 0)
		return;
	json_t *last = json_array_get(events, json_array_size(events) - 1);
	if (!span_is(json_span(json_object_get(last, "id")), id)) {
		last = json_pack("{s:s, s:s, s:[]}", "type", "agent.message", "id", id, "content");
		json_array_append_new(events, last);
	}
	json_array_append_new(json_object_get(last, "content"),
	                      json_pack("{s:s, s:O}", "type", "text", "text", json_object_get(block, "text")));
}

static void add_thinking(json_t *events, const json_t *block, const char *id)
{
	json_array_append_new(events, json_pack("{s:s, s:s, s:O}", "type", "agent.thinking", "id", id, "kept", block));
}

// How a policy reads in the event: what it decided, and why.
static void set_permission(json_t *event, enum model_policy policy)
{
	bool allow = policy == MODEL_POLICY_ALLOW;
	json_object_set_new(event, "evaluated_permission", json_string(allow ? "allow" : "ask"));
	json_t *evaluation = policy == MODEL_POLICY_AUTO
	                             ? json_pack("{s:s, s:{s:s, s:s}}", "type", "auto", "evaluated_permission", "type", "ask",
	                                         "reason_code", "indeterminate")
	                             : json_pack("{s:s}", "type", allow ? "always_allow" : "always_ask");
	json_object_set_new(event, "evaluation", evaluation);
}

// Closes a call before anybody could run it. As a worker's result, since official workers count only that as an answer.
static void close_call(json_t *results, bool custom, const char *id, const char *why)
{
	json_array_append_new(results, json_pack("{s:s, s:s, s:b, s:[{s:s, s:o}]}", "type",
	                                         custom ? "user.custom_tool_result" : "user.tool_result",
	                                         custom ? "custom_tool_use_id" : "tool_use_id", id, "is_error", 1, "content",
	                                         "type", "text", "text", json_string_lossy(span_of(why))));
}

// Why a call can't be made, for the model: a heap string; NULL when it can.
static char *refusal(enum model_tool tool, const json_t *block)
{
	struct span name = span_head(json_span(json_object_get(block, "name")), 128);
	if (tool == MODEL_TOOL_UNKNOWN)
		return mem_printf("There is no tool named %.*s.", SPAN_FMT(name));
	if (tool == MODEL_TOOL_DISABLED)
		return mem_printf("The tool %.*s is turned off for this agent.", SPAN_FMT(name));
	if (json_is_true(json_object_get(block, "broken")))
		return mem_printf("The input of this call of %.*s was cut off or is no JSON object. It was not run.",
		                  SPAN_FMT(name));
	return NULL;
}

static void add_call(json_t *events, json_t *results, const json_t *tools, const json_t *block, const char *id)
{
	struct span name = json_span(json_object_get(block, "name"));
	enum model_policy policy;
	enum model_tool tool = model_tools_find(tools, name, &policy);
	AUTO_FREE char *why = refusal(tool, block);
	bool custom = tool == MODEL_TOOL_CUSTOM;
	json_t *event = json_pack("{s:s, s:s, s:O, s:O}", "type", custom ? "agent.custom_tool_use" : "agent.tool_use", "id", id,
	                          "name", json_object_get(block, "name"), "input", json_object_get(block, "input"));
	if (!custom && why != NULL)
		json_object_set_new(event, "evaluated_permission", json_string("deny"));
	else if (!custom)
		set_permission(event, policy);
	json_array_append_new(events, event);
	if (why != NULL)
		close_call(results, custom, id, why);
}

static json_t *refusal_details(const json_t *sent)
{
	json_t *category = json_object_get(sent, "category"), *explanation = json_object_get(sent, "explanation");
	return json_pack("{s:s, s:O?, s:O?}", "type", "refusal", "category", category, "explanation", explanation);
}

// An answer that ended at a limit is shown as such: what the agent said is not all it meant to say.
static void add_cut(json_t *events, struct span reason)
{
	if (span_is(reason, "max_tokens"))
		json_array_append_new(events,
		                      agent_loop_error("unknown_error",
		                                       "the model's answer was cut off at max_tokens; raise it for this "
		                                       "model in the configuration of control",
		                                       "exhausted"));
	else if (span_is(reason, "model_context_window_exceeded"))
		json_array_append_new(events,
		                      agent_loop_error("unknown_error",
		                                       "the conversation has filled the model's context window", "exhausted"));
}

void agent_loop_answer(const json_t *agent, const struct model_answer *answer, struct agent_loop_ids *ids,
                       struct agent_loop_outcome *out)
{
	struct span reason = span_of(answer->stop_reason);
	bool refused = span_is(reason, "refusal"), calls = false;
	size_t i;
	json_t *block;
	// Results come behind the whole answer: what the model said is one message, and they belong to the next.
	json_t *AUTO_JSON results = json_array();
	*out = (struct agent_loop_outcome){.events = json_array()};
	json_array_foreach (answer->content, i, block) {
		struct span type = json_span(json_object_get(block, "type"));
		if (i >= ids->n)
			(void)agent_loop_ids_add(ids, type);
		if (span_is(type, "text"))
			add_text(out->events, block, ids->of_block[i]);
		else if (!span_is(type, "tool_use"))
			add_thinking(out->events, block, ids->of_block[i]);
		else if (!refused) // what a refused answer had begun is not carried out
			add_call(out->events, results, json_object_get(agent, "tools"), block, ids->of_block[i]);
		calls |= span_is(type, "tool_use") && !refused;
	}
	json_array_extend(out->events, results);
	if (calls)
		return;
	out->stop_reason = refused ? "refusal" : "end_turn";
	if (refused)
		out->stop_details = refusal_details(answer->stop_details);
	add_cut(out->events, reason);
}

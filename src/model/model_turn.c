#include "model/model_turn.h"

#include "base/mem.h"
#include "model/model_tools.h"

// The messages as they grow. Content of one role in a row becomes one message.
struct builder {
	json_t *messages;
	json_t *results; // of the user message being built: they must stand before its other blocks
	json_t *blocks;
	bool assistant;
};

static void flush(struct builder *b)
{
	json_array_extend(b->results, b->blocks);
	if (json_array_size(b->results) > 0)
		json_array_append_new(b->messages, json_pack("{s:s, s:O}", "role", b->assistant ? "assistant" : "user",
		                                             "content", b->results));
	json_decref(b->results);
	json_decref(b->blocks);
	b->results = json_array();
	b->blocks = json_array();
}

static void add(struct builder *b, bool assistant, bool result, json_t *block)
{
	if (b->assistant != assistant) {
		flush(b);
		b->assistant = assistant;
	}
	json_array_append_new(result ? b->results : b->blocks, block);
}

static bool is_blank(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr(" \t\r\n\f\v", s.data[i]) == NULL)
			return false;
	return true;
}

// Blocks as the model may see them: text that is only white space is left out (the API refuses it), a redacted block becomes a
// text that says so.
static json_t *clean(const json_t *content)
{
	json_t *out = json_array(), *block;
	size_t i;
	json_array_foreach (content, i, block) {
		struct span type = json_span(json_object_get(block, "type"));
		if (span_is(type, "redacted"))
			json_array_append_new(out, json_pack("{s:s, s:s}", "type", "text", "text", "(removed)"));
		else if (!span_is(type, "text") || !is_blank(json_span(json_object_get(block, "text"))))
			json_array_append(out, block);
	}
	return out;
}

static void add_content(struct builder *b, bool assistant, const json_t *event)
{
	json_t *AUTO_JSON content = clean(json_object_get(event, "content"));
	json_t *block;
	size_t i;
	json_array_foreach (content, i, block) {
		add(b, assistant, false, json_incref(block));
	}
}

// Words of the application's in the middle of a conversation: the Messages API has no such role there, so they are marked.
static void add_system(struct builder *b, const json_t *event)
{
	json_t *block;
	size_t i;
	json_array_foreach (json_object_get(event, "content"), i, block) {
		struct span text = json_span(json_object_get(block, "text"));
		if (is_blank(text))
			continue;
		AUTO_FREE char *marked = mem_printf("<system-message>\n%.*s\n</system-message>", SPAN_FMT(text));
		add(b, false, false, json_pack("{s:s, s:s}", "type", "text", "text", marked));
	}
}

static void add_call(struct builder *b, const json_t *event)
{
	json_t *input = json_object_get(event, "input");
	add(b, true, false,
	    json_pack("{s:s, s:O, s:O, s:o}", "type", "tool_use", "id", json_object_get(event, "id"), "name",
	              json_object_get(event, "name"), "input", json_is_object(input) ? json_incref(input) : json_object()));
}

static void add_result(struct builder *b, const json_t *event, const char *call)
{
	json_t *result = json_pack("{s:s, s:O}", "type", "tool_result", "tool_use_id", json_object_get(event, call));
	json_t *content = clean(json_object_get(event, "content"));
	if (json_array_size(content) > 0)
		json_object_set(result, "content", content);
	if (json_is_true(json_object_get(event, "is_error")))
		json_object_set_new(result, "is_error", json_true());
	json_decref(content);
	add(b, false, true, result);
}

static struct result add_kept(struct builder *b, struct span kept, struct err *e)
{
	json_t *block;
	if (kept.len == 0)
		return OK;
	if (failed(json_parse_object(kept, "what was kept of an event", &block, e))) {
		e->kind = ERR_CORRUPT;
		return FAIL;
	}
	add(b, true, false, block);
	return OK;
}

// Which member names the call that a result answers; NULL for other events.
static const char *result_of(struct span type)
{
	if (span_is(type, "user.tool_result") || span_is(type, "agent.tool_result"))
		return "tool_use_id";
	return span_is(type, "user.custom_tool_result") ? "custom_tool_use_id" : NULL;
}

static bool is_call(struct span type)
{
	return span_is(type, "agent.tool_use") || span_is(type, "agent.custom_tool_use");
}

bool model_turn_sees(struct span type)
{
	static const char *const others[] = {"user.message", "system.message", "agent.message", "agent.thinking"};
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (span_is(type, others[i]))
			return true;
	}
	return is_call(type) || result_of(type) != NULL;
}

static struct result add_event(struct builder *b, const struct model_turn_event *view, struct err *e)
{
	json_t *AUTO_JSON event = NULL;
	if (failed(json_parse_object(view->json, "a stored event", &event, e))) {
		e->kind = ERR_CORRUPT;
		return FAIL;
	}
	struct span type = json_span(json_object_get(event, "type"));
	const char *call = result_of(type);
	if ((is_call(type) && !json_is_string(json_object_get(event, "id"))) ||
	    (call != NULL && !json_is_string(json_object_get(event, call))))
		return err_set(e, ERR_CORRUPT, "a stored event of the type %.*s lacks its id", SPAN_FMT(span_head(type, 60)));
	if (span_is(type, "user.message"))
		add_content(b, false, event);
	else if (span_is(type, "system.message"))
		add_system(b, event);
	else if (span_is(type, "agent.message"))
		add_content(b, true, event);
	else if (span_is(type, "agent.thinking"))
		return add_kept(b, view->kept, e);
	else if (is_call(type))
		add_call(b, event);
	else if (call != NULL)
		add_result(b, event, call);
	return OK;
}

static struct result add_events(struct builder *b, const struct model_turn_opts *o, struct err *e)
{
	for (size_t i = 0; i < o->n_events; i++)
		TRY(add_event(b, &o->events[i], e));
	flush(b);
	if (json_array_size(b->messages) == 0 || b->assistant)
		return err_set(e, ERR_INVALID, "there is nothing for the model to answer: the last word is its own");
	return OK;
}

bool model_turn_is_fast(const json_t *model)
{
	return span_is(json_span(json_object_get(model, "speed")), "fast");
}

// What the agent's model configuration asks of each answer; what it does not set is the endpoint's own choice.
static void add_settings(json_t *request, const json_t *model)
{
	json_t *effort = json_object_get(json_object_get(model, "effort"), "type"),
	       *geo = json_object_get(model, "inference_geo");
	if (effort != NULL)
		json_object_set_new(request, "output_config", json_pack("{s:O}", "effort", effort));
	if (geo != NULL)
		json_object_set(request, "inference_geo", geo);
	if (model_turn_is_fast(model))
		json_object_set_new(request, "speed", json_string("fast"));
}

static json_t *request_json(const struct model_turn_opts *o, const json_t *agent, json_t *messages)
{
	json_t *AUTO_JSON tools = model_tools_offer(json_object_get(agent, "tools"));
	json_t *system = json_object_get(agent, "system");
	json_t *request =
	        json_pack("{s:s%, s:I}", "model", o->model.data, o->model.len, "max_tokens", (json_int_t)o->max_tokens);
	add_settings(request, json_object_get(agent, "model"));
	if (!is_blank(json_span(system)))
		json_object_set(request, "system", system);
	if (json_array_size(tools) > 0)
		json_object_set(request, "tools", tools);
	json_object_set(request, "messages", messages);
	json_object_set_new(request, "stream", json_true());
	return request;
}

struct result model_turn_request(const struct model_turn_opts *o, struct buf *out, struct err *e)
{
	json_t *AUTO_JSON agent = NULL;
	TRY(json_parse_object(o->agent, "the session's agent", &agent, e));
	struct builder b = {.messages = json_array(), .results = json_array(), .blocks = json_array()};
	struct result r = add_events(&b, o, e);
	if (!failed(r)) {
		json_t *AUTO_JSON request = request_json(o, agent, b.messages);
		size_t len;
		char *AUTO_FREE text = json_text(request, &len);
		if (!buf_add(out, (struct span){text, len}))
			r = err_set(e, ERR_TOO_LARGE, "the conversation is over %zu MiB: too large for a model request",
			            out->max / (1024 * 1024));
	}
	json_decref(b.messages);
	json_decref(b.results);
	json_decref(b.blocks);
	return r;
}

#include "replay/conversation.h"

#define TEXT_MAX (64 * 1024 * 1024)

// The text of a content: a string, or the text blocks of an array, joined by newlines. A caller's bound makes it fit.
static void add_text(const json_t *content, struct buf *out)
{
	if (json_is_string(content)) {
		BUG_ON(!buf_add(out, json_span(content)));
		return;
	}
	size_t i;
	json_t *block;
	bool any = false;
	json_array_foreach (content, i, block) {
		if (!span_is(json_span(json_object_get(block, "type")), "text"))
			continue;
		BUG_ON(!buf_add_str(out, any ? "\n" : ""));
		BUG_ON(!buf_add(out, json_span(json_object_get(block, "text"))));
		any = true;
	}
}

static bool has_block(const json_t *content, const char *type)
{
	size_t i;
	json_t *block;
	json_array_foreach (content, i, block) {
		if (span_is(json_span(json_object_get(block, "type")), type))
			return true;
	}
	return json_is_string(content) && span_is(SPAN_LIT("text"), type);
}

static bool is_role(const json_t *message, const char *role)
{
	return span_is(json_span(json_object_get(message, "role")), role);
}

static bool id_ok(struct span id)
{
	for (size_t i = 0; i < id.len; i++) {
		char c = id.data[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
		if (!ok)
			return false;
	}
	return id.len > 0;
}

// The block of `content` of that type whose `member` is `id`.
static const json_t *block_by_id(const json_t *content, const char *type, const char *member, struct span id)
{
	size_t i;
	json_t *block;
	json_array_foreach (content, i, block) {
		if (span_is(json_span(json_object_get(block, "type")), type) &&
		    span_eq(json_span(json_object_get(block, member)), id))
			return block;
	}
	return NULL;
}

static struct result check_text(const json_t *block, const char *where, struct err *e)
{
	struct span text;
	TRY(json_get_string(block, where, "text", &text, e));
	if (span_trim(text).len == 0)
		return err_set(e, ERR_INVALID, "%s: text content blocks must be non-empty", where);
	return OK;
}

static struct result check_tool_use(const json_t *block, const char *where, struct err *e)
{
	struct span id, name;
	json_t *input;
	TRY(json_get_string(block, where, "id", &id, e));
	TRY(json_get_string(block, where, "name", &name, e));
	TRY(json_get_object(block, where, "input", &input, e));
	if (!id_ok(id))
		return err_set(e, ERR_INVALID, "%s.id: only letters, digits, '_' and '-' are allowed", where);
	return OK;
}

static struct result check_tool_result(const json_t *block, const json_t *before, const char *where, struct err *e)
{
	struct span id;
	bool is_error;
	TRY(json_get_string(block, where, "tool_use_id", &id, e));
	TRY(json_opt_bool(block, where, "is_error", false, &is_error, e));
	if (!is_role(before, "assistant") || block_by_id(json_object_get(before, "content"), "tool_use", "id", id) == NULL)
		return err_set(e, ERR_INVALID, "%s: the message before has no tool_use of the id %.*s", where,
		               SPAN_FMT(span_head(id, 80)));
	return OK;
}

static struct result check_block(const json_t *message, const json_t *before, const json_t *block, const char *where,
                                 struct err *e)
{
	struct span type;
	if (!json_is_object(block))
		return err_set(e, ERR_INVALID, "%s: expected an object", where);
	TRY(json_get_string(block, where, "type", &type, e));
	bool assistant = is_role(message, "assistant");
	if (span_is(type, "text"))
		return check_text(block, where, e);
	if (assistant && span_is(type, "tool_use"))
		return check_tool_use(block, where, e);
	if (!assistant && span_is(type, "tool_result"))
		return check_tool_result(block, before, where, e);
	bool known = assistant ? span_is(type, "thinking") || span_is(type, "redacted_thinking")
	                       : span_is(type, "image") || span_is(type, "document") || span_is(type, "search_result");
	if (!known)
		return err_set(e, ERR_INVALID, "%s.type: \"%.*s\" can't stand here", where, SPAN_FMT(span_head(type, 40)));
	return OK;
}

// Every tool use of `before` must be answered in `message` (NULL: the conversation's end).
static struct result check_answered(const json_t *before, const json_t *message, size_t n, struct err *e)
{
	size_t i;
	json_t *block;
	json_array_foreach (json_object_get(before, "content"), i, block) {
		struct span id = json_span(json_object_get(block, "id"));
		if (!span_is(json_span(json_object_get(block, "type")), "tool_use"))
			continue;
		const json_t *content = message == NULL ? NULL : json_object_get(message, "content");
		if (block_by_id(content, "tool_result", "tool_use_id", id) == NULL)
			return err_set(e, ERR_INVALID,
			               "messages.%zu: no tool_result for the tool_use %.*s of the message before", n,
			               SPAN_FMT(span_head(id, 80)));
	}
	return OK;
}

static struct result check_message(const json_t *message, const json_t *before, size_t n, struct err *e)
{
	char where[64];
	snprintf(where, sizeof(where), "messages.%zu", n);
	if (!json_is_object(message))
		return err_set(e, ERR_INVALID, "%s: expected an object", where);
	if (!is_role(message, before == NULL || is_role(before, "assistant") ? "user" : "assistant"))
		return err_set(e, ERR_INVALID,
		               "%s.role: roles must alternate between \"user\" and \"assistant\", from \"user\"", where);
	const json_t *content = json_object_get(message, "content");
	if (before != NULL && is_role(before, "assistant"))
		TRY(check_answered(before, message, n, e));
	if (json_is_string(content) && json_string_length(content) > 0)
		return OK;
	if (!json_is_array(content) || json_array_size(content) == 0)
		return err_set(e, ERR_INVALID, "%s.content: expected a text or blocks", where);
	size_t i;
	json_t *block;
	json_array_foreach (content, i, block) {
		snprintf(where, sizeof(where), "messages.%zu.content.%zu", n, i);
		TRY(check_block(message, before, block, where, e));
	}
	return OK;
}

static struct result check_tools(const json_t *request, struct err *e)
{
	json_t *tools, *tool;
	size_t i;
	TRY(json_opt_array(request, "", "tools", &tools, e));
	json_array_foreach (tools, i, tool) {
		char where[64];
		snprintf(where, sizeof(where), "tools.%zu", i);
		struct span name;
		json_t *schema;
		if (!json_is_object(tool))
			return err_set(e, ERR_INVALID, "%s: expected an object", where);
		TRY(json_get_string(tool, where, "name", &name, e));
		TRY(json_get_object(tool, where, "input_schema", &schema, e));
		if (!id_ok(name) || name.len > 128)
			return err_set(e, ERR_INVALID, "%s.name: 1 to 128 letters, digits, '_' and '-' are allowed", where);
		for (size_t k = 0; k < i; k++)
			if (span_eq(json_span(json_object_get(json_array_get(tools, k), "name")), name))
				return err_set(e, ERR_INVALID, "%s.name: tool names must be unique", where);
	}
	return OK;
}

static struct result check_request(const json_t *request, json_t **messages, struct err *e)
{
	struct span model;
	int64_t max_tokens;
	bool stream;
	TRY(json_get_string(request, "", "model", &model, e));
	TRY(json_get_int(request, "", "max_tokens", &max_tokens, e));
	TRY(json_opt_bool(request, "", "stream", false, &stream, e));
	if (max_tokens < 1)
		return err_set(e, ERR_INVALID, "max_tokens: must be at least 1");
	TRY(check_tools(request, e));
	TRY(json_get_array(request, "", "messages", messages, e));
	if (json_array_size(*messages) == 0)
		return err_set(e, ERR_INVALID, "messages: at least one message is required");
	size_t i;
	json_t *message, *before = NULL;
	json_array_foreach (*messages, i, message) {
		TRY(check_message(message, before, i, e));
		before = message;
	}
	if (is_role(before, "assistant"))
		return err_set(e, ERR_INVALID, "messages: the last one must be the user's");
	return OK;
}

struct result conversation_read(const json_t *request, struct conversation *out, struct err *e)
{
	json_t *messages = NULL, *message;
	TRY(check_request(request, &messages, e));
	*out = (struct conversation){.messages = messages, .turn = 1, .round = 1};
	buf_init(&out->first, TEXT_MAX);
	buf_init(&out->user, TEXT_MAX);
	size_t i;
	json_array_foreach (messages, i, message) {
		const json_t *content = json_object_get(message, "content");
		if (is_role(message, "assistant")) {
			out->turn++;
			out->round++;
		} else if (has_block(content, "text")) {
			buf_clear(&out->user);
			add_text(content, &out->user);
			if (i == 0)
				add_text(content, &out->first);
			out->round = 1;
		}
		out->has_result = has_block(content, "tool_result");
	}
	return OK;
}

void conversation_fini(struct conversation *c)
{
	buf_fini(&c->first);
	buf_fini(&c->user);
}

bool conversation_result(const struct conversation *c, struct span tool, uint64_t turn, struct buf *text,
                         struct span *tool_name, bool *is_error)
{
	uint64_t answers = c->turn - 1; // those up to the message looked at
	for (size_t i = json_array_size(c->messages); i-- > 0;) {
		const json_t *message = json_array_get(c->messages, i);
		if (is_role(message, "assistant")) {
			answers--;
			continue;
		}
		const json_t *content = json_object_get(message, "content");
		for (size_t k = json_array_size(content); k-- > 0 && (turn == 0 || turn == answers);) {
			const json_t *block = json_array_get(content, k);
			if (!span_is(json_span(json_object_get(block, "type")), "tool_result"))
				continue;
			const json_t *calls = json_object_get(json_array_get(c->messages, i - 1), "content");
			struct span id = json_span(json_object_get(block, "tool_use_id"));
			struct span name = json_span(json_object_get(block_by_id(calls, "tool_use", "id", id), "name"));
			if (tool.len > 0 && !span_eq(tool, name))
				continue;
			buf_clear(text);
			add_text(json_object_get(block, "content"), text);
			if (tool_name != NULL)
				*tool_name = name;
			if (is_error != NULL)
				*is_error = json_is_true(json_object_get(block, "is_error"));
			return true;
		}
	}
	return false;
}

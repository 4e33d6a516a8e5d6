#include "control/event_params.h"
#include "control/text.h"

#include "base/mem.h"

struct result event_params_only(const json_t *o, const char *where, const char *const *names, struct err *e)
{
	const char *name;
	json_t *value;
	json_object_foreach ((json_t *)o, name, value) {
		size_t i = 0;
		while (names[i] != NULL && strcmp(names[i], name) != 0)
			i++;
		if (names[i] == NULL)
			return err_set(e, ERR_INVALID, "%s%s%.64s: not a member of this API", where,
			               where[0] == '\0' ? "" : ".", name);
	}
	return OK;
}

static struct result check_source(const json_t *block, const char *where, bool document, struct err *e)
{
	json_t *source;
	struct span type, text;
	char at[TEXT_WHERE_MAX];
	TRY(json_get_object(block, where, "source", &source, e));
	text_where(at, "%s.source", where);
	TRY(json_get_string(source, at, "type", &type, e));
	if (span_is(type, "base64")) {
		TRY(json_get_string(source, at, "media_type", &text, e));
		return json_get_string(source, at, "data", &text, e);
	}
	if (span_is(type, "url"))
		return json_get_string(source, at, "url", &text, e);
	if (span_is(type, "file"))
		return json_get_string(source, at, "file_id", &text, e);
	if (document && span_is(type, "text")) {
		TRY(json_get_string(source, at, "media_type", &text, e));
		return json_get_string(source, at, "data", &text, e);
	}
	return err_set(e, ERR_INVALID, "%s.type: must be base64, url%s or file", at, document ? ", text" : "");
}

static struct result check_search_result(const json_t *block, const char *where, struct err *e)
{
	struct span text;
	json_t *content;
	TRY(json_get_string(block, where, "source", &text, e));
	TRY(json_get_string(block, where, "title", &text, e));
	return json_get_array(block, where, "content", &content, e);
}

static struct result check_block(const json_t *block, const char *where, bool message, struct err *e)
{
	struct span type, text;
	if (!json_is_object(block))
		return err_set(e, ERR_INVALID, "%s: must be an object", where);
	TRY(json_get_string(block, where, "type", &type, e));
	if (span_is(type, "text"))
		return json_get_string(block, where, "text", &text, e);
	if (span_is(type, "image") || span_is(type, "document"))
		return check_source(block, where, span_is(type, "document"), e);
	if (!message && span_is(type, "search_result"))
		return check_search_result(block, where, e);
	if (message && span_is(type, "redacted"))
		return OK;
	return err_set(e, ERR_INVALID, "%s.type: must be text, image, document or %s", where,
	               message ? "redacted" : "search_result");
}

static struct result check_content(const json_t *ev, const char *where, bool message, struct err *e)
{
	json_t *content = NULL, *block;
	size_t i;
	TRY(message ? json_get_array(ev, where, "content", &content, e) : json_opt_array(ev, where, "content", &content, e));
	if (message && json_array_size(content) == 0)
		return err_set(e, ERR_INVALID, "%s.content: must hold at least one block", where);
	json_array_foreach (content, i, block) {
		char at[TEXT_WHERE_MAX];
		text_where(at, "%s.content[%zu]", where, i);
		TRY(check_block(block, at, message, e));
	}
	return OK;
}

static struct result check_message(const json_t *ev, const char *where, struct err *e)
{
	static const char *const names[] = {"type", "content", NULL};
	TRY(event_params_only(ev, where, names, e));
	return check_content(ev, where, true, e);
}

static struct result check_system(const json_t *ev, const char *where, struct err *e)
{
	static const char *const names[] = {"type", "content", NULL};
	json_t *content, *block;
	size_t i;
	TRY(event_params_only(ev, where, names, e));
	TRY(json_get_array(ev, where, "content", &content, e));
	if (json_array_size(content) < 1 || json_array_size(content) > 1000)
		return err_set(e, ERR_INVALID, "%s.content: must hold 1 to 1000 text blocks", where);
	json_array_foreach (content, i, block) {
		char at[TEXT_WHERE_MAX];
		struct span text;
		text_where(at, "%s.content[%zu]", where, i);
		if (!json_is_object(block) || !span_is(json_span(json_object_get(block, "type")), "text"))
			return err_set(e, ERR_INVALID, "%s: must be a text block", at);
		TRY(json_get_string(block, at, "text", &text, e));
	}
	return OK;
}

static struct result check_interrupt(const json_t *ev, const char *where, struct err *e)
{
	static const char *const names[] = {"type", "session_thread_id", NULL};
	struct span thread;
	TRY(event_params_only(ev, where, names, e));
	return json_opt_string(ev, where, "session_thread_id", &thread, e);
}

static struct result check_confirmation(const json_t *ev, const char *where, struct err *e)
{
	static const char *const names[] = {"type", "tool_use_id", "result", "deny_message", "session_thread_id", NULL};
	struct span text, result;
	TRY(event_params_only(ev, where, names, e));
	TRY(json_get_string(ev, where, "tool_use_id", &text, e));
	TRY(json_get_string(ev, where, "result", &result, e));
	if (!span_is(result, "allow") && !span_is(result, "deny"))
		return err_set(e, ERR_INVALID, "%s.result: must be allow or deny", where);
	text = (struct span){NULL, 0};
	TRY(json_opt_string(ev, where, "deny_message", &text, e));
	if (text.len > 0 && !span_is(result, "deny"))
		return err_set(e, ERR_INVALID, "%s.deny_message: only with result deny", where);
	return json_opt_string(ev, where, "session_thread_id", &text, e);
}

static struct result check_result(const json_t *ev, const char *where, const char *ref, struct err *e)
{
	const char *names[] = {"type", ref, "content", "is_error", "session_thread_id", NULL};
	struct span text;
	bool flag;
	TRY(event_params_only(ev, where, names, e));
	TRY(json_get_string(ev, where, ref, &text, e));
	TRY(json_opt_bool(ev, where, "is_error", false, &flag, e));
	TRY(json_opt_string(ev, where, "session_thread_id", &text, e));
	return check_content(ev, where, false, e);
}

struct result event_params_check(const json_t *ev, const char *where, enum event_kind *kind, struct err *e)
{
	struct span type;
	if (!json_is_object(ev))
		return err_set(e, ERR_INVALID, "%s: must be an object", where);
	TRY(json_get_string(ev, where, "type", &type, e));
	if (span_is(type, "user.message"))
		return *kind = EVENT_MESSAGE, check_message(ev, where, e);
	if (span_is(type, "system.message"))
		return *kind = EVENT_SYSTEM, check_system(ev, where, e);
	if (span_is(type, "user.interrupt"))
		return *kind = EVENT_INTERRUPT, check_interrupt(ev, where, e);
	if (span_is(type, "user.tool_confirmation"))
		return *kind = EVENT_CONFIRMATION, check_confirmation(ev, where, e);
	if (span_is(type, "user.tool_result"))
		return *kind = EVENT_RESULT, check_result(ev, where, "tool_use_id", e);
	if (span_is(type, "user.custom_tool_result"))
		return *kind = EVENT_CUSTOM_RESULT, check_result(ev, where, "custom_tool_use_id", e);
	if (span_is(type, "user.define_outcome"))
		return err_set(e, ERR_INVALID, "%s.type: user.define_outcome is not supported by this control plane", where);
	return err_set(e, ERR_INVALID,
	               "%s.type: must be user.message, user.interrupt, user.tool_confirmation, user.tool_result,"
	               " user.custom_tool_result or system.message",
	               where);
}

struct result event_params_check_all(const json_t *body, const char *name, size_t max, json_t **out, struct err *e)
{
	json_t *events, *ev;
	size_t i;
	bool input = false;
	TRY(json_get_array(body, "", name, &events, e));
	if (json_array_size(events) < 1 || json_array_size(events) > max)
		return err_set(e, ERR_INVALID, "%s: must hold 1 to %zu events", name, max);
	json_array_foreach (events, i, ev) {
		char where[TEXT_WHERE_MAX];
		enum event_kind kind = EVENT_MESSAGE;
		text_where(where, "%s[%zu]", name, i);
		TRY(event_params_check(ev, where, &kind, e));
		if (kind == EVENT_SYSTEM && (!input || i + 1 != json_array_size(events)))
			return err_set(
			        e, ERR_INVALID,
			        "%s: system.message must close a request that also holds a user.message or a tool result",
			        where);
		input |= kind == EVENT_MESSAGE || kind == EVENT_RESULT || kind == EVENT_CUSTOM_RESULT;
	}
	*out = events;
	return OK;
}

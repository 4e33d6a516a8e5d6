#include "control/agent_tools.h"

#include "base/mem.h"
#include "control/event_params.h"
#include "control/text.h"

static const char *const builtin[] = {"bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search"};

static bool is_builtin(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(builtin); i++) {
		if (span_is(name, builtin[i]))
			return true;
	}
	return false;
}

static struct result take_policy(const json_t *from, const char *where, const json_t *dflt, json_t *into, struct err *e)
{
	static const char *const members[] = {"type", NULL};
	json_t *policy = NULL;
	struct span type;
	char at[TEXT_WHERE_MAX];
	text_where(at, "%s.permission_policy", where);
	TRY(json_opt_object(from, where, "permission_policy", &policy, e));
	if (policy == NULL) {
		json_object_set(into, "permission_policy", (json_t *)dflt);
		return OK;
	}
	TRY(event_params_only(policy, at, members, e));
	TRY(json_get_string(policy, at, "type", &type, e));
	if (!span_is(type, "always_allow") && !span_is(type, "always_ask") && !span_is(type, "auto"))
		return err_set(e, ERR_INVALID, "%s.type: must be always_allow, always_ask or auto", at);
	json_object_set(into, "permission_policy", policy);
	return OK;
}

static struct result take_enabled(const json_t *from, const char *where, const json_t *dflt, json_t *into, struct err *e)
{
	bool enabled = true;
	TRY(json_opt_bool(from, where, "enabled", json_is_true(dflt), &enabled, e));
	json_object_set_new(into, "enabled", json_boolean(enabled));
	return OK;
}

static struct result take_default(const json_t *tool, const char *where, const char *policy, json_t **out, struct err *e)
{
	static const char *const members[] = {"enabled", "permission_policy", NULL};
	AUTO_JSON json_t *base = json_pack("{s:b, s:{s:s}}", "enabled", 1, "permission_policy", "type", policy);
	json_t *given = NULL;
	char at[TEXT_WHERE_MAX];
	text_where(at, "%s.default_config", where);
	TRY(json_opt_object(tool, where, "default_config", &given, e));
	if (given != NULL)
		TRY(event_params_only(given, at, members, e));
	AUTO_JSON json_t *config = json_object();
	TRY(take_enabled(given, at, json_object_get(base, "enabled"), config, e));
	TRY(take_policy(given, at, json_object_get(base, "permission_policy"), config, e));
	*out = json_incref(config);
	return OK;
}

// The members that the web tools add are kept as they are given: this control plane runs no web tools.
static struct result check_members(const json_t *config, const char *where, struct span name, struct err *e)
{
	static const char *const plain[] = {"name", "type", "enabled", "permission_policy", NULL};
	static const char *const web[] = {"name",
	                                  "type",
	                                  "enabled",
	                                  "permission_policy",
	                                  "allowed_domains",
	                                  "blocked_domains",
	                                  "url_sources",
	                                  "user_location",
	                                  "max_content_tokens",
	                                  NULL};
	return event_params_only(config, where, span_starts(name, "web_") ? web : plain, e);
}

static struct result take_config(const json_t *given, const char *where, const json_t *dflt, bool mcp, json_t *into,
                                 struct err *e)
{
	struct span name, type = {NULL, 0};
	if (!json_is_object(given))
		return err_set(e, ERR_INVALID, "%s: must be an object", where);
	TRY(json_get_string(given, where, "name", &name, e));
	if (!mcp && !is_builtin(name))
		return err_set(e, ERR_INVALID, "%s.name: no tool of this toolset", where);
	TRY(check_members(given, where, mcp ? SPAN_LIT("") : name, e));
	TRY(json_opt_string(given, where, "type", &type, e));
	if (!mcp && type.data != NULL && !span_eq(type, name))
		return err_set(e, ERR_INVALID, "%s.type: must be the tool's name", where);
	AUTO_JSON json_t *config = json_copy((json_t *)given);
	if (!mcp)
		json_object_set(config, "type", json_object_get(given, "name"));
	TRY(take_enabled(given, where, json_object_get(dflt, "enabled"), config, e));
	TRY(take_policy(given, where, json_object_get(dflt, "permission_policy"), config, e));
	if (span_is(name, "web_fetch") && json_object_get(config, "url_sources") == NULL)
		json_object_set_new(config, "url_sources", json_null());
	json_array_append(into, config);
	return OK;
}

static struct result take_configs(const json_t *tool, const char *where, const json_t *dflt, bool mcp, json_t *into,
                                  struct err *e)
{
	json_t *given = NULL, *config;
	size_t i, j;
	TRY(json_opt_array(tool, where, "configs", &given, e));
	AUTO_JSON json_t *configs = json_array();
	json_array_foreach (given, i, config) {
		char at[TEXT_WHERE_MAX];
		text_where(at, "%s.configs[%zu]", where, i);
		TRY(take_config(config, at, dflt, mcp, configs, e));
		for (j = 0; j < i; j++) {
			if (json_equal(json_object_get(json_array_get(configs, j), "name"), json_object_get(config, "name")))
				return err_set(e, ERR_INVALID, "%s.name: configured twice", at);
		}
	}
	json_object_set(into, "configs", configs);
	return OK;
}

static struct result take_toolset(const json_t *tool, const char *where, bool mcp, json_t *into, struct err *e)
{
	static const char *const agent_members[] = {"type", "default_config", "configs", NULL};
	static const char *const mcp_members[] = {"type", "mcp_server_name", "default_config", "configs", NULL};
	AUTO_JSON json_t *dflt = NULL;
	struct span server;
	TRY(event_params_only(tool, where, mcp ? mcp_members : agent_members, e));
	if (mcp) {
		TRY(json_get_string(tool, where, "mcp_server_name", &server, e));
		json_object_set(into, "mcp_server_name", json_object_get(tool, "mcp_server_name"));
	}
	TRY(take_default(tool, where, mcp ? "always_ask" : "always_allow", &dflt, e));
	json_object_set(into, "default_config", dflt);
	return take_configs(tool, where, dflt, mcp, into, e);
}

static struct result check_custom_name(struct span name, const char *where, struct err *e)
{
	bool ok = name.len >= 1 && name.len <= 128;
	for (size_t i = 0; i < name.len && ok; i++) {
		char c = name.data[i];
		ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
	}
	if (!ok)
		return err_set(e, ERR_INVALID, "%s.name: must be 1 to 128 letters, digits, _ and -", where);
	if (is_builtin(name) || span_starts(name, "mcp__"))
		return err_set(e, ERR_INVALID, "%s.name: this name is taken by a built-in tool", where);
	return OK;
}

static struct result take_custom(const json_t *tool, const char *where, json_t *into, struct err *e)
{
	static const char *const members[] = {"type", "name", "description", "input_schema", NULL};
	static const char *const barred[] = {"oneOf", "anyOf", "allOf", "$ref"};
	struct span name, description, type;
	json_t *schema;
	char at[TEXT_WHERE_MAX];
	TRY(event_params_only(tool, where, members, e));
	TRY(json_get_string(tool, where, "name", &name, e));
	TRY(check_custom_name(name, where, e));
	TRY(json_get_string(tool, where, "description", &description, e));
	if (description.len == 0)
		return err_set(e, ERR_INVALID, "%s.description: must not be empty", where);
	TRY(json_get_object(tool, where, "input_schema", &schema, e));
	text_where(at, "%s.input_schema", where);
	TRY(json_get_string(schema, at, "type", &type, e));
	if (!span_is(type, "object"))
		return err_set(e, ERR_INVALID, "%s.type: must be object", at);
	for (size_t i = 0; i < ARRAY_LEN(barred); i++) {
		if (json_object_get(schema, barred[i]) != NULL)
			return err_set(e, ERR_INVALID, "%s: %s is not allowed here", at, barred[i]);
	}
	json_object_update(into, (json_t *)tool);
	return OK;
}

static struct result resolve_one(const json_t *tool, const char *where, json_t *out, struct err *e)
{
	struct span type;
	if (!json_is_object(tool))
		return err_set(e, ERR_INVALID, "%s: must be an object", where);
	TRY(json_get_string(tool, where, "type", &type, e));
	AUTO_JSON json_t *into = json_object();
	json_object_set(into, "type", json_object_get(tool, "type"));
	bool mcp = span_is(type, "mcp_toolset");
	if (mcp || span_is(type, "agent_toolset_20260401"))
		TRY(take_toolset(tool, where, mcp, into, e));
	else if (span_is(type, "custom"))
		TRY(take_custom(tool, where, into, e));
	else
		return err_set(e, ERR_INVALID, "%s.type: must be agent_toolset_20260401, mcp_toolset or custom", where);
	json_array_append(out, into);
	return OK;
}

static struct result check_unique(const json_t *tools, struct err *e)
{
	size_t i, j;
	json_t *tool;
	json_array_foreach ((json_t *)tools, i, tool) {
		const json_t *name = json_object_get(tool, "name");
		const json_t *type = json_object_get(tool, "type");
		for (j = 0; j < i; j++) {
			const json_t *other = json_array_get(tools, j);
			bool same_name = name != NULL && json_equal(name, json_object_get(other, "name"));
			bool two_sets =
			        name == NULL && json_equal(type, json_object_get(other, "type")) &&
			        json_equal(json_object_get(tool, "mcp_server_name"), json_object_get(other, "mcp_server_name"));
			if (same_name || two_sets)
				return err_set(e, ERR_INVALID, "tools[%zu]: the same as tools[%zu]", i, j);
		}
	}
	return OK;
}

struct result agent_tools_resolve(const json_t *tools, json_t **out, struct err *e)
{
	AUTO_JSON json_t *resolved = json_array();
	size_t i;
	json_t *tool;
	if (json_array_size(tools) > AGENT_TOOLS_MAX)
		return err_set(e, ERR_INVALID, "tools: at most %d", AGENT_TOOLS_MAX);
	json_array_foreach ((json_t *)tools, i, tool) {
		char where[TEXT_WHERE_MAX];
		text_where(where, "tools[%zu]", i);
		TRY(resolve_one(tool, where, resolved, e));
	}
	TRY(check_unique(resolved, e));
	*out = json_incref(resolved);
	return OK;
}

#include "control/agent_spec.h"

#include "base/mem.h"
#include "control/agent_tools.h"
#include "control/event_params.h"
#include "control/text.h"

#define LIST_MAX 20
#define SYSTEM_MAX 100000

json_t *agent_spec_new(void)
{
	return json_pack("{s:n, s:n, s:[], s:[], s:[], s:n, s:{s:s}}", "system", "description", "tools", "mcp_servers",
	                 "skills", "multiagent", "execution_identity", "type", "service_account");
}

// `kept` is what it was: an update that does not speak of it leaves it.
static struct result take_effort(const json_t *given, json_t *kept, json_t *into, struct err *e)
{
	static const char *const levels[] = {"low", "medium", "high", "xhigh", "max"};
	const json_t *effort = json_object_get(given, "effort");
	if (effort == NULL || json_is_null(effort)) {
		if (kept != NULL)
			json_object_set(into, "effort", kept);
		return OK;
	}
	struct span level = json_is_object(effort) ? json_span(json_object_get(effort, "type")) : json_span(effort);
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (span_is(level, levels[i])) {
			json_object_set_new(into, "effort", json_pack("{s:s}", "type", levels[i]));
			return OK;
		}
	}
	return err_set(e, ERR_INVALID, "model.effort: must be low, medium, high, xhigh or max");
}

static struct result take_model(json_t *agent, json_t *model, struct err *e)
{
	static const char *const members[] = {"id", "effort", "inference_geo", "speed", NULL};
	json_t *kept = json_object_get(json_object_get(agent, "model"), "effort");
	if (json_is_string(model)) {
		TRY(text_check_name(json_span(model), "model", 1, 256, e));
		json_object_set_new(agent, "model",
		                    json_pack("{s:O, s:s, s:O*}", "id", model, "speed", "standard", "effort", kept));
		return OK;
	}
	if (!json_is_object(model))
		return err_set(e, ERR_INVALID, "model: must be a string or an object");
	struct span id, geo = {NULL, 0}, speed = SPAN_LIT("standard");
	TRY(event_params_only(model, "model", members, e));
	TRY(json_get_string(model, "model", "id", &id, e));
	TRY(text_check_name(id, "model.id", 1, 256, e));
	TRY(json_opt_string(model, "model", "inference_geo", &geo, e));
	TRY(json_opt_string(model, "model", "speed", &speed, e));
	if (!span_is(speed, "standard") && !span_is(speed, "fast"))
		return err_set(e, ERR_INVALID, "model.speed: must be standard or fast");
	AUTO_JSON json_t *out = json_pack("{s:s%, s:s%}", "id", id.data, id.len, "speed", speed.data, speed.len);
	TRY(take_effort(model, kept, out, e));
	if (geo.data != NULL)
		json_object_set(out, "inference_geo", json_object_get(model, "inference_geo"));
	json_object_set(agent, "model", out);
	return OK;
}

static struct result take_text(json_t *agent, const json_t *body, const char *name, size_t max, struct err *e)
{
	AUTO_FREE char *text = NULL;
	if (json_object_get(body, name) == NULL)
		return OK;
	TRY(text_take_opt(body, name, 0, max, &text, e));
	json_object_set_new(agent, name, text == NULL || text[0] == '\0' ? json_null() : json_string(text));
	return OK;
}

static struct result take_server(const json_t *server, size_t i, json_t *out, struct err *e)
{
	static const char *const members[] = {"type", "name", "url", NULL};
	char where[TEXT_WHERE_MAX];
	struct span type, name, url;
	text_where(where, "mcp_servers[%zu]", i);
	if (!json_is_object(server))
		return err_set(e, ERR_INVALID, "%s: must be an object", where);
	TRY(event_params_only(server, where, members, e));
	TRY(json_get_string(server, where, "type", &type, e));
	TRY(json_get_string(server, where, "name", &name, e));
	TRY(json_get_string(server, where, "url", &url, e));
	TRY(text_check_name(name, "mcp_servers.name", 1, 255, e));
	if (!span_is(type, "url"))
		return err_set(e, ERR_INVALID, "%s.type: must be url", where);
	if (!span_starts(url, "https://") && !span_starts(url, "http://"))
		return err_set(e, ERR_INVALID, "%s.url: must be an http or https URL", where);
	for (size_t j = 0; j < json_array_size(out); j++) {
		if (span_eq(name, json_span(json_object_get(json_array_get(out, j), "name"))))
			return err_set(e, ERR_INVALID, "%s.name: used twice", where);
	}
	json_array_append(out, (json_t *)server);
	return OK;
}

static struct result take_skill(const json_t *skill, size_t i, json_t *out, struct err *e)
{
	static const char *const members[] = {"type", "skill_id", "version", NULL};
	char where[TEXT_WHERE_MAX];
	struct span type, id, version = SPAN_LIT("latest");
	text_where(where, "skills[%zu]", i);
	if (!json_is_object(skill))
		return err_set(e, ERR_INVALID, "%s: must be an object", where);
	TRY(event_params_only(skill, where, members, e));
	TRY(json_get_string(skill, where, "type", &type, e));
	TRY(json_get_string(skill, where, "skill_id", &id, e));
	TRY(json_opt_string(skill, where, "version", &version, e));
	if (!span_is(type, "anthropic") && !span_is(type, "custom"))
		return err_set(e, ERR_INVALID, "%s.type: must be anthropic or custom", where);
	json_array_append_new(out, json_pack("{s:s%, s:s%, s:s%}", "type", type.data, type.len, "skill_id", id.data, id.len,
	                                     "version", version.data, version.len));
	return OK;
}

static struct result take_list(json_t *agent, const json_t *body, const char *name,
                               struct result (*take)(const json_t *item, size_t i, json_t *out, struct err *e), struct err *e)
{
	json_t *list = NULL, *item;
	size_t i;
	if (json_object_get(body, name) == NULL)
		return OK;
	TRY(json_opt_array(body, "", name, &list, e));
	if (json_array_size(list) > LIST_MAX)
		return err_set(e, ERR_INVALID, "%s: at most %d", name, LIST_MAX);
	AUTO_JSON json_t *out = json_array();
	json_array_foreach (list, i, item)
		TRY(take(item, i, out, e));
	json_object_set(agent, name, out);
	return OK;
}

static struct result take_identity(json_t *agent, const json_t *body, struct err *e)
{
	json_t *given = json_object_get(body, "execution_identity");
	if (given == NULL)
		return OK;
	if (!json_is_null(given) && !span_is(json_span(json_object_get(given, "type")), "service_account"))
		return err_set(e, ERR_INVALID,
		               "execution_identity: only {\"type\":\"service_account\"} is supported by this control plane");
	json_object_set_new(agent, "execution_identity", json_pack("{s:s}", "type", "service_account"));
	return OK;
}

// Each server is used by a toolset, and each toolset names a server.
static struct result check_servers(const json_t *agent, struct err *e)
{
	const json_t *servers = json_object_get(agent, "mcp_servers"), *tools = json_object_get(agent, "tools");
	size_t i, j;
	json_t *tool, *server;
	size_t used = 0;
	json_array_foreach ((json_t *)tools, i, tool) {
		const json_t *wanted = json_object_get(tool, "mcp_server_name");
		bool found = wanted == NULL;
		json_array_foreach ((json_t *)servers, j, server)
			found |= wanted != NULL && json_equal(wanted, json_object_get(server, "name"));
		if (!found)
			return err_set(e, ERR_INVALID, "tools[%zu].mcp_server_name: no such server in mcp_servers", i);
		used += wanted != NULL;
	}
	return used == json_array_size(servers)
	               ? OK
	               : err_set(e, ERR_INVALID, "mcp_servers: each server must be used by an mcp_toolset in tools");
}

struct result agent_spec_apply(json_t *agent, const json_t *body, const char *const *members, struct err *e)
{
	TRY(event_params_only(body, "", members, e));
	json_t *name = json_object_get(body, "name"), *model = json_object_get(body, "model");
	if (name != NULL) {
		if (!json_is_string(name))
			return err_set(e, ERR_INVALID, "name: must be a string");
		TRY(text_check_name(json_span(name), "name", 1, 256, e));
		json_object_set(agent, "name", name);
	}
	if (model != NULL)
		TRY(take_model(agent, model, e));
	TRY(take_text(agent, body, "system", SYSTEM_MAX, e));
	TRY(take_text(agent, body, "description", 4096, e));
	if (json_object_get(body, "tools") != NULL) {
		json_t *tools = NULL, *resolved = NULL;
		TRY(json_opt_array(body, "", "tools", &tools, e));
		TRY(agent_tools_resolve(tools, &resolved, e));
		json_object_set_new(agent, "tools", resolved);
	}
	TRY(take_list(agent, body, "mcp_servers", take_server, e));
	TRY(take_list(agent, body, "skills", take_skill, e));
	json_t *multiagent = json_object_get(body, "multiagent");
	if (multiagent != NULL && !json_is_null(multiagent))
		return err_set(e, ERR_INVALID, "multiagent: not supported by this control plane");
	TRY(take_identity(agent, body, e));
	return check_servers(agent, e);
}

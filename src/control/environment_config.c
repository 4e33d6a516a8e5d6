#include "control/environment_config.h"

#include "base/mem.h"
#include "control/event_params.h"

static struct result take_strings(const json_t *o, const char *where, const char *name, json_t *into, struct err *e)
{
	json_t *list = NULL, *item;
	size_t i;
	TRY(json_opt_array(o, where, name, &list, e));
	json_array_foreach (list, i, item) {
		if (!json_is_string(item))
			return err_set(e, ERR_INVALID, "%s.%s[%zu]: must be a string", where, name, i);
	}
	json_object_set_new(into, name, list == NULL ? json_array() : json_incref(list));
	return OK;
}

static struct result take_networking(const json_t *config, json_t *into, struct err *e)
{
	static const char *const open_members[] = {"type", NULL};
	static const char *const limited_members[] = {"type", "allowed_hosts", "allow_mcp_servers", "allow_package_managers",
	                                              NULL};
	static const char where[] = "config.networking";
	json_t *net = NULL;
	struct span type = SPAN_LIT("unrestricted");
	bool mcp = false, packages = false;
	TRY(json_opt_object(config, "config", "networking", &net, e));
	if (net != NULL)
		TRY(json_get_string(net, where, "type", &type, e));
	json_t *out = json_pack("{s:s%}", "type", type.data, type.len);
	json_object_set_new(into, "networking", out);
	if (span_is(type, "unrestricted"))
		return net == NULL ? OK : event_params_only(net, where, open_members, e);
	if (!span_is(type, "limited"))
		return err_set(e, ERR_INVALID, "config.networking.type: must be unrestricted or limited");
	TRY(event_params_only(net, where, limited_members, e));
	TRY(take_strings(net, where, "allowed_hosts", out, e));
	TRY(json_opt_bool(net, where, "allow_mcp_servers", false, &mcp, e));
	TRY(json_opt_bool(net, where, "allow_package_managers", false, &packages, e));
	json_object_set_new(out, "allow_mcp_servers", json_boolean(mcp));
	json_object_set_new(out, "allow_package_managers", json_boolean(packages));
	return OK;
}

static struct result take_packages(const json_t *config, json_t *into, struct err *e)
{
	static const char *const names[] = {"type", "apt", "cargo", "gem", "go", "npm", "pip", NULL};
	json_t *given = NULL;
	TRY(json_opt_object(config, "config", "packages", &given, e));
	json_t *out = json_pack("{s:s}", "type", "packages");
	json_object_set_new(into, "packages", out);
	if (given != NULL)
		TRY(event_params_only(given, "config.packages", names, e));
	for (size_t i = 1; names[i] != NULL; i++)
		TRY(take_strings(given, "config.packages", names[i], out, e));
	return OK;
}

static struct result resolve(const json_t *config, const char *type, json_t *into, struct err *e)
{
	static const char *const self_hosted[] = {"type", NULL};
	static const char *const cloud[] = {"type", "networking", "packages", NULL};
	if (strcmp(type, "self_hosted") == 0)
		return event_params_only(config, "config", self_hosted, e);
	TRY(event_params_only(config, "config", cloud, e));
	TRY(take_networking(config, into, e));
	return take_packages(config, into, e);
}

struct result environment_config_take(struct op *op, const json_t *config, char **type, char **text, struct err *e)
{
	struct span wanted = SPAN_LIT("cloud");
	if (config != NULL && !json_is_object(config))
		return err_set(e, ERR_INVALID, "config: must be an object");
	if (config != NULL)
		TRY(json_get_string(config, "config", "type", &wanted, e));
	if (!span_is(wanted, "self_hosted") && !span_is(wanted, "cloud"))
		return err_set(e, ERR_INVALID, "config.type: must be self_hosted or cloud");
	if (*type != NULL && !span_is(wanted, *type)) {
		op->error.details = json_pack("{s:s}", "error_code", "invalid_config_type_change");
		return err_set(e, ERR_INVALID, "config.type: can't change from %s to %.*s", *type, SPAN_FMT(wanted));
	}
	AUTO_FREE char *name = span_dup(wanted);
	AUTO_JSON json_t *out = json_pack("{s:s}", "type", name);
	TRY(resolve(config, name, out, e));
	free(*type);
	*type = STEAL(name);
	free(*text);
	*text = json_text(out, NULL);
	return OK;
}

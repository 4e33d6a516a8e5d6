#include "cli/run_open.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cli/printable.h"

struct run_open {
	struct api *api;
	struct run_open_opts opts;
	void (*opened)(void *arg, const json_t *session, const struct err *e);
	void *arg;
};

static void find_agent(struct run_open *o, const char *page);

static void session_told(void *arg, const json_t *session, const struct err *e)
{
	struct run_open *o = arg;
	o->opened(o->arg, session, e);
}

static void make_session(struct run_open *o, const json_t *agent)
{
	AUTO_JSON json_t *body =
	        json_pack("{s:O, s:s}", "agent", json_object_get(agent, "id"), "environment_id", o->opts.environment);
	api_send(o->api, "POST", "/v1/sessions", body, session_told, o);
}

static void agent_made(void *arg, const json_t *agent, const struct err *e)
{
	struct run_open *o = arg;
	if (e != NULL)
		o->opened(o->arg, NULL, e);
	else
		make_session(o, agent);
}

static void make_agent(struct run_open *o)
{
	AUTO_JSON json_t *body = json_pack("{s:s, s:s, s:s*, s:[{s:s}]}", "name", o->opts.agent ?: RUN_OPEN_AGENT, "model",
	                                   o->opts.model ?: o->opts.default_model, "system", o->opts.system, "tools", "type",
	                                   "agent_toolset_20260401");
	api_send(o->api, "POST", "/v1/agents", body, agent_made, o);
}

// One that is named is taken as it is, unless more is asked of it; our own must be just what it would be made like.
static bool fits(const struct run_open *o, const json_t *agent)
{
	bool named = o->opts.agent != NULL;
	const char *model = o->opts.model != NULL || named ? o->opts.model : o->opts.default_model;
	const char *system = o->opts.system != NULL || named ? o->opts.system : "";
	return (model == NULL || span_is(json_span(json_object_get(json_object_get(agent, "model"), "id")), model)) &&
	       (system == NULL || span_is(json_span(json_object_get(agent, "system")), system));
}

// Somebody made this one and named it: it is neither changed nor given a double.
static void refuse_other(struct run_open *o, const json_t *agent)
{
	struct err e;
	AUTO_FREE char *model = printable_line(json_span(json_object_get(json_object_get(agent, "model"), "id")), 64);
	err_set(&e, ERR_CONFLICT,
	        "the agent '%.60s' is there with the model %s, and its model or system prompt is not the one given\n"
	        "leave out --model and --system, or choose another name with --agent",
	        o->opts.agent, model);
	o->opened(o->arg, NULL, &e);
}

static void agents_listed(void *arg, const json_t *answer, const struct err *e)
{
	struct run_open *o = arg;
	size_t i;
	json_t *agent;
	if (e != NULL) {
		o->opened(o->arg, NULL, e);
		return;
	}
	json_array_foreach (json_object_get(answer, "data"), i, agent) {
		if (!span_is(json_span(json_object_get(agent, "name")), o->opts.agent ?: RUN_OPEN_AGENT))
			continue;
		if (fits(o, agent)) {
			make_session(o, agent);
			return;
		}
		if (o->opts.agent != NULL) {
			refuse_other(o, agent);
			return;
		}
	}
	const char *next = json_string_value(json_object_get(answer, "next_page"));
	if (next != NULL && *next != '\0')
		find_agent(o, next);
	else
		make_agent(o);
}

static void find_agent(struct run_open *o, const char *page)
{
	AUTO_FREE char *path =
	        page == NULL ? mem_strdup("/v1/agents?limit=100") : mem_printf("/v1/agents?limit=100&page=%s", page);
	api_send(o->api, "GET", path, NULL, agents_listed, o);
}

struct run_open *run_open_start(struct api *api, const struct run_open_opts *opts,
                                void (*opened)(void *arg, const json_t *session, const struct err *e), void *arg)
{
	struct run_open *o = NEW(struct run_open);
	*o = (struct run_open){api, *opts, opened, arg};
	if (opts->session != NULL) {
		AUTO_FREE char *path = mem_printf("/v1/sessions/%s", opts->session);
		api_send(api, "GET", path, NULL, session_told, o);
	} else {
		find_agent(o, NULL);
	}
	return o;
}

void run_open_free(struct run_open *o)
{
	free(o);
}

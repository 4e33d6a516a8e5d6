// The bodies that clients send to control: events, agents, environments' and agents' parts. Whatever they hold, they are taken
// or refused with a message.
#include "base/mem.h"
#include "control/agent_spec.h"
#include "control/event_params.h"
#include "control/metadata.h"
#include "control/sessions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const members[] = {"name",        "model",  "system",     "description",        "tools",
	                                      "mcp_servers", "skills", "multiagent", "execution_identity", "metadata",
	                                      NULL};
	AUTO_JSON json_t *body = NULL, *agent = NULL, *metadata = NULL;
	AUTO_FREE char *title = NULL;
	json_t *events = NULL;
	struct err e = {0};
	if (failed(json_parse_object(span_from((const char *)data, size), "fuzz", &body, &e)))
		return 0;
	struct result r = event_params_check_all(body, "events", EVENT_PARAMS_MAX, &events, &e);
	BUG_ON(failed(r) && (e.kind != ERR_INVALID || e.msg[0] == '\0'));
	agent = agent_spec_new();
	r = agent_spec_apply(agent, body, members, &e);
	BUG_ON(failed(r) && e.kind != ERR_INVALID);
	r = session_create_title(body, &title, &e);
	BUG_ON(failed(r) && e.kind != ERR_INVALID);
	r = metadata_take(body, NULL, true, &metadata, &e);
	BUG_ON(failed(r) && e.kind != ERR_INVALID);
	return 0;
}

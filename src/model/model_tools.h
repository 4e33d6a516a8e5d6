// The tools an agent's model is offered, and what becomes of a call that it makes (managed-agents-api.md 3.2, 4 and 5.5).
#ifndef SALLYPORT_MODEL_MODEL_TOOLS_H
#define SALLYPORT_MODEL_MODEL_TOOLS_H

#include "base/err.h"
#include "base/json.h"

enum model_tool {
	MODEL_TOOL_UNKNOWN,  // the agent has no tool of that name
	MODEL_TOOL_DISABLED, // it has, and its configuration turns it off
	MODEL_TOOL_WORKER,   // one of the toolset's that a worker runs
	MODEL_TOOL_CUSTOM,   // a custom tool: whoever registered it answers
};

enum model_policy {
	MODEL_POLICY_ALLOW,
	MODEL_POLICY_ASK,  // always_ask
	MODEL_POLICY_AUTO, // judged for each call; nobody here judges, so each is asked about
};

// What `name` is among the agent's `tools` (as the API has them), and for a worker's tool under which policy it runs.
enum model_tool model_tools_find(const json_t *tools, struct span name, enum model_policy *policy);

// The tools as a Messages request's "tools": the enabled ones of the toolset that a worker runs (each with its schema), then
// the custom tools. A new array, maybe empty.
json_t *model_tools_offer(const json_t *tools);

#endif

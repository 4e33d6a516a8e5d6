// What an agent is made of (managed-agents-api.md 3.2): checked and resolved to the form that answers have.
#ifndef SALLYPORT_CONTROL_AGENT_SPEC_H
#define SALLYPORT_CONTROL_AGENT_SPEC_H

#include "base/err.h"
#include "base/json.h"

// Takes what `body` gives into `agent`, an object of resolved members: name, model, system, description, tools, mcp_servers,
// skills, multiagent, execution_identity. An absent member keeps what is there; null and empty clear what may be cleared.
// `members`: the names that are allowed in `body`, NULL-terminated.
MUST_USE struct result agent_spec_apply(json_t *agent, const json_t *body, const char *const *members, struct err *e);

// A new object with the defaults of all but name and model.
json_t *agent_spec_new(void);

#endif

// An agent's tools, checked and resolved.
#ifndef SALLYPORT_CONTROL_AGENT_TOOLS_H
#define SALLYPORT_CONTROL_AGENT_TOOLS_H

#include "base/err.h"
#include "base/json.h"

#define AGENT_TOOLS_MAX 256

// *out is a new array; `tools` may be NULL (none).
MUST_USE struct result agent_tools_resolve(const json_t *tools, json_t **out, struct err *e);

#endif

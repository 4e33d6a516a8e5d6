// A turn: the Messages request that follows from a session's events. A pure function: the same events give the same bytes.
#ifndef SALLYPORT_MODEL_MODEL_TURN_H
#define SALLYPORT_MODEL_MODEL_TURN_H

#include "base/err.h"
#include "base/json.h"

struct model_turn_event {
	struct span json; // the event as the API shows it
	struct span kept; // what was kept beside it for the model (a thinking block), or empty
};

struct model_turn_opts {
	struct span agent;                     // the session's agent as the API shows it: system, tools, model's settings
	const struct model_turn_event *events; // processed ones in their order, up to the turn's up_to_seq
	size_t n_events;
	struct span model;   // the id to send
	uint64_t max_tokens; // of the answer
};

// The request's body, compact JSON with "stream": true, appended to `out`. Events that the model has no part in are passed
// over. ERR_CORRUPT when a stored event is not what was stored; ERR_TOO_LARGE when it does not fit `out`; ERR_INVALID when
// there is nothing for the model to answer.
//
// A tool use's id is that of its event. Results stand first in the message that follows it, as the Messages API wants.
MUST_USE struct result model_turn_request(const struct model_turn_opts *o, struct buf *out, struct err *e);

// Whether the model has a part in events of that type. Others may be given to model_turn_request, at the cost of reading them.
bool model_turn_sees(struct span type);

// Whether that model configuration (of an agent) asks for fast mode.
bool model_turn_is_fast(const json_t *model);

#endif

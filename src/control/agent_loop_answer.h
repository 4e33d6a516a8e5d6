// From a model's answer to a session's events: pure.
#ifndef SALLYPORT_CONTROL_AGENT_LOOP_ANSWER_H
#define SALLYPORT_CONTROL_AGENT_LOOP_ANSWER_H

#include "base/random.h"
#include "model/model_answer.h"

// The events that the answer's blocks become, their ids given while the answer comes, so that a preview and the stored event
// have the same. Text blocks in a row are one agent.message.
struct agent_loop_ids {
	char of_block[MODEL_ANSWER_BLOCKS_MAX][ID_MAX];
	size_t part[MODEL_ANSWER_BLOCKS_MAX]; // of a text block: which part of its message
	bool is_text[MODEL_ANSWER_BLOCKS_MAX];
	size_t n;
};

// Gives the next block its id. True when that is a new event's, false when the block belongs to the event of the one before.
bool agent_loop_ids_add(struct agent_loop_ids *ids, struct span block_type);

struct agent_loop_outcome {
	json_t *events;          // as turn_end wants them
	const char *stop_reason; // static, or NULL: the model goes on when its calls are answered
	json_t *stop_details;    // or NULL
};

// `agent` is the session's agent as the API shows it. The answer is only read. Calls of tools that the agent does not have,
// that are turned off or whose input is no JSON object are closed at once with an error for the model.
void agent_loop_answer(const json_t *agent, const struct model_answer *answer, struct agent_loop_ids *ids,
                       struct agent_loop_outcome *out);

// A session.error event. `retry_status`: "retrying", "exhausted".
json_t *agent_loop_error(const char *type, const char *message, const char *retry_status);

#endif

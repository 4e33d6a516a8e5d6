// One answer of the replayed model: the whole message, and the same as a stream's frames (Messages API: message_start,
// content_block_start, _delta, _stop, message_delta, message_stop, with a ping behind the start).
#ifndef SALLYPORT_REPLAY_REPLY_H
#define SALLYPORT_REPLAY_REPLY_H

#include "replay/conversation.h"
#include "replay/scenario.h"

// The step that answers the conversation. ERR_NOT_FOUND, with what was asked, when the scenario has none.
MUST_USE struct result reply_find(const struct scenario *s, const struct conversation *c, const struct scenario_scene **scene,
                                  const struct scenario_step **step, struct err *e);

// The step's answer as a Messages API message. Its identifiers depend on step, turn and block alone. *out is new.
MUST_USE struct result reply_message(const struct scenario_scene *scene, const struct scenario_step *step,
                                     const struct conversation *c, struct span model, json_t **out, struct err *e);

struct reply_frames {
	char **frames; // each "event: …\ndata: …\n\n"
	size_t n;
};
void reply_frames_make(const json_t *message, struct reply_frames *out);
void reply_frames_fini(struct reply_frames *f);

#endif

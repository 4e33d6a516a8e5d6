// A request's messages, checked as a Messages API checks them, and seen as what a scenario asks about.
#ifndef SALLYPORT_REPLAY_CONVERSATION_H
#define SALLYPORT_REPLAY_CONVERSATION_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct conversation {
	const json_t *messages; // borrowed
	size_t turn;            // this answer's number in the conversation, from 1
	size_t round;           // and since the latest user text, from 1
	struct buf first;       // the first user text
	struct buf user;        // the latest user text
	bool has_result;        // the last message brings tool results
};

// Checks a whole request (model, max_tokens, tools, messages: roles alternate, every tool use has its result in the next
// message, every result its tool use) and reads its messages. ERR_INVALID names the place, as "messages.3.content.0: …".
// On success the conversation is freed with conversation_fini; `request` must outlive it.
MUST_USE struct result conversation_read(const json_t *request, struct conversation *out, struct err *e);
void conversation_fini(struct conversation *c);

// The latest tool result of that tool (empty: any) for a call of that answer (0: any): its text into `text` (cleared first),
// the tool's name (borrowed) and whether it is an error. False when there is none. `tool_name` and `is_error` may be NULL.
bool conversation_result(const struct conversation *c, struct span tool, uint64_t turn, struct buf *text,
                         struct span *tool_name, bool *is_error);

#endif

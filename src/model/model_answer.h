// A model's answer out of its stream (Messages API, streaming): strict, bounded, sans-I/O. Nothing that is not a whole answer
// from message_start to message_stop is ever taken for one.
#ifndef SALLYPORT_MODEL_MODEL_ANSWER_H
#define SALLYPORT_MODEL_MODEL_ANSWER_H

#include "base/json.h"
#include "model/model_failure.h"
#include "net/sse.h"

#define MODEL_ANSWER_BLOCKS_MAX 256
#define MODEL_ANSWER_BYTES_MAX (16 * 1024 * 1024) // of texts and inputs together

struct model_answer {
	// The blocks in their order: {"type":"text","text"}, {"type":"thinking","thinking","signature"},
	// {"type":"redacted_thinking","data"}, {"type":"tool_use","id","name","input"}. A tool_use whose input came as no valid
	// JSON object (cut off by max_tokens, for one) has {} and "broken": true.
	json_t *content;
	char *stop_reason;    // as sent
	json_t *stop_details; // or NULL
	json_t *usage;        // input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens
};
void model_answer_fini(struct model_answer *a);

struct model_decoder;

// Told while the answer comes, and may turn out to be for nothing. `index` counts content blocks.
struct model_decoder_calls {
	void (*on_block)(void *arg, size_t index, struct span type); // a block begins; may be NULL
	void (*on_text)(void *arg, size_t index, struct span text);  // more of a text block; may be NULL
	void *arg;
};

struct model_decoder *model_decoder_new(const struct model_decoder_calls *calls);
void model_decoder_free(struct model_decoder *d);

// Takes the next bytes. False: the answer failed, *f says how; feed nothing more. What follows message_stop is passed over.
MUST_USE bool model_decoder_feed(struct model_decoder *d, struct span bytes, struct model_failure *f);
// message_stop was there.
bool model_decoder_whole(const struct model_decoder *d);

// The stream's end. True: *out is the answer, to be freed with model_answer_fini. False: it was not whole, *f says so.
MUST_USE bool model_decoder_end(struct model_decoder *d, struct model_answer *out, struct model_failure *f);

#endif

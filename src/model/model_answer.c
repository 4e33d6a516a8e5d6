#include "model/model_answer.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"

#define FRAME_MAX (8 * 1024 * 1024)

enum phase { BEFORE, MESSAGE, BLOCK, DELTA_SEEN, STOPPED };

struct model_decoder {
	struct model_decoder_calls calls;
	struct sse_decoder sse;
	struct model_answer answer;
	enum phase phase;
	json_t *block;    // the open one
	struct buf piece; // its text, thinking or input so far
	struct buf signature;
	size_t bytes;
	struct model_failure failure;
	bool failed;
};

void model_answer_fini(struct model_answer *a)
{
	json_decref(a->content);
	json_decref(a->stop_details);
	json_decref(a->usage);
	free(a->stop_reason);
	*a = (struct model_answer){0};
}

struct model_decoder *model_decoder_new(const struct model_decoder_calls *calls)
{
	struct model_decoder *d = NEW(struct model_decoder);
	d->calls = *calls;
	sse_decoder_init(&d->sse, FRAME_MAX);
	buf_init(&d->piece, MODEL_ANSWER_BYTES_MAX);
	buf_init(&d->signature, MODEL_ANSWER_BYTES_MAX);
	d->answer = (struct model_answer){.content = json_array(), .usage = json_object()};
	return d;
}

void model_decoder_free(struct model_decoder *d)
{
	if (d == NULL)
		return;
	sse_decoder_fini(&d->sse);
	buf_fini(&d->piece);
	buf_fini(&d->signature);
	json_decref(d->block);
	model_answer_fini(&d->answer);
	free(d);
}

static bool broken(struct model_decoder *d, const char *what)
{
	model_failure_transport(&d->failure, what);
	d->failed = true;
	return false;
}

static bool is_type(const json_t *j, const char *type)
{
	return span_is(json_span(json_object_get(j, "type")), type);
}

// Counts are cumulative: a later one replaces an earlier.
static void take_usage(struct model_decoder *d, const json_t *usage)
{
	static const char *const names[] = {"input_tokens", "output_tokens", "cache_read_input_tokens",
	                                    "cache_creation_input_tokens"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *n = json_object_get(usage, names[i]);
		if (json_is_integer(n) && json_integer_value(n) >= 0)
			json_object_set(d->answer.usage, names[i], n);
		else if (json_object_get(d->answer.usage, names[i]) == NULL)
			json_object_set_new(d->answer.usage, names[i], json_integer(0));
	}
}

static bool on_message_start(struct model_decoder *d, const json_t *event)
{
	const json_t *message = json_object_get(event, "message");
	if (d->phase != BEFORE || !json_is_object(message))
		return broken(d, "an unexpected message_start");
	take_usage(d, json_object_get(message, "usage"));
	d->phase = MESSAGE;
	return true;
}

// The member in which a block's deltas are gathered; NULL for a type that is not known.
static const char *gathers(const json_t *block)
{
	if (is_type(block, "text"))
		return "text";
	if (is_type(block, "thinking"))
		return "thinking";
	if (is_type(block, "tool_use"))
		return "input";
	return is_type(block, "redacted_thinking") ? "data" : NULL;
}

static bool block_ok(const json_t *block)
{
	const char *member = gathers(block);
	if (member == NULL)
		return false;
	const json_t *start = json_object_get(block, member);
	if (is_type(block, "tool_use"))
		return (start == NULL || json_is_object(start)) && json_string_length(json_object_get(block, "id")) > 0 &&
		       json_string_length(json_object_get(block, "name")) > 0;
	return start == NULL || json_is_string(start);
}

static bool on_block_start(struct model_decoder *d, const json_t *event)
{
	json_t *block = json_object_get(event, "content_block");
	const json_t *index = json_object_get(event, "index");
	size_t n = json_array_size(d->answer.content);
	if (d->phase != MESSAGE || !json_is_integer(index) || json_integer_value(index) != (json_int_t)n)
		return broken(d, "an unexpected content_block_start");
	if (n == MODEL_ANSWER_BLOCKS_MAX)
		return broken(d, "too many content blocks");
	if (!block_ok(block))
		return broken(d, "a content block of a kind that was not asked for");
	d->block = json_incref(block);
	d->phase = BLOCK;
	buf_clear(&d->piece);
	buf_clear(&d->signature);
	struct span start = json_span(json_object_get(block, gathers(block)));
	BUG_ON(!buf_add(&d->piece, start) || !buf_add(&d->signature, json_span(json_object_get(block, "signature"))));
	if (d->calls.on_block != NULL)
		d->calls.on_block(d->calls.arg, n, json_span(json_object_get(block, "type")));
	if (is_type(block, "text") && start.len > 0 && d->calls.on_text != NULL)
		d->calls.on_text(d->calls.arg, n, start);
	return true;
}

static bool gather(struct model_decoder *d, struct buf *to, const json_t *piece)
{
	if (!json_is_string(piece))
		return broken(d, "a delta without its text");
	struct span s = json_span(piece);
	d->bytes += s.len;
	if (d->bytes > MODEL_ANSWER_BYTES_MAX || !buf_add(to, s))
		return broken(d, "the answer is larger than 16 MiB");
	return true;
}

static bool on_block_delta(struct model_decoder *d, const json_t *event)
{
	const json_t *delta = json_object_get(event, "delta"), *index = json_object_get(event, "index");
	size_t n = json_array_size(d->answer.content);
	if (d->phase != BLOCK || !json_is_integer(index) || json_integer_value(index) != (json_int_t)n)
		return broken(d, "an unexpected content_block_delta");
	if (is_type(delta, "text_delta") && is_type(d->block, "text")) {
		const json_t *text = json_object_get(delta, "text");
		if (!gather(d, &d->piece, text))
			return false;
		if (d->calls.on_text != NULL)
			d->calls.on_text(d->calls.arg, n, json_span(text));
		return true;
	}
	if (is_type(delta, "input_json_delta") && is_type(d->block, "tool_use"))
		return gather(d, &d->piece, json_object_get(delta, "partial_json"));
	if (is_type(delta, "thinking_delta") && is_type(d->block, "thinking"))
		return gather(d, &d->piece, json_object_get(delta, "thinking"));
	if (is_type(delta, "signature_delta") && is_type(d->block, "thinking"))
		return gather(d, &d->signature, json_object_get(delta, "signature"));
	if (is_type(delta, "citations_delta") && is_type(d->block, "text"))
		return true; // nothing of ours asks for them
	return broken(d, "a delta that does not fit its block");
}

static json_t *finished_call(struct model_decoder *d)
{
	json_t *input = NULL, *given = json_object_get(d->block, "input");
	bool cut = buf_len(&d->piece) > 0 && failed(json_parse_object_lossy(buf_span(&d->piece), "input", &input, NULL));
	if (input == NULL)
		input = !cut && given != NULL ? json_incref(given) : json_object();
	json_t *call = json_pack("{s:s, s:O, s:O, s:o}", "type", "tool_use", "id", json_object_get(d->block, "id"), "name",
	                         json_object_get(d->block, "name"), "input", input);
	if (cut)
		json_object_set_new(call, "broken", json_true());
	return call;
}

static json_t *finished_block(struct model_decoder *d)
{
	if (is_type(d->block, "tool_use"))
		return finished_call(d);
	json_t *block = json_pack("{s:O, s:o}", "type", json_object_get(d->block, "type"), gathers(d->block),
	                          json_string_lossy(buf_span(&d->piece)));
	if (is_type(d->block, "thinking"))
		json_object_set_new(block, "signature", json_string_lossy(buf_span(&d->signature)));
	return block;
}

static bool on_block_stop(struct model_decoder *d, const json_t *event)
{
	const json_t *index = json_object_get(event, "index");
	if (d->phase != BLOCK || !json_is_integer(index) ||
	    json_integer_value(index) != (json_int_t)json_array_size(d->answer.content))
		return broken(d, "an unexpected content_block_stop");
	json_array_append_new(d->answer.content, finished_block(d));
	json_decref(d->block);
	d->block = NULL;
	d->phase = MESSAGE;
	return true;
}

static bool on_message_delta(struct model_decoder *d, const json_t *event)
{
	const json_t *delta = json_object_get(event, "delta");
	struct span reason = json_span(json_object_get(delta, "stop_reason"));
	json_t *details = json_object_get(delta, "stop_details");
	if (d->phase != MESSAGE && d->phase != DELTA_SEEN)
		return broken(d, "an unexpected message_delta");
	take_usage(d, json_object_get(event, "usage"));
	if (reason.len == 0)
		return true;
	free(d->answer.stop_reason);
	d->answer.stop_reason = span_dup(reason);
	json_decref(d->answer.stop_details);
	d->answer.stop_details = json_is_object(details) ? json_incref(details) : NULL;
	d->phase = DELTA_SEEN;
	return true;
}

static bool on_message_stop(struct model_decoder *d)
{
	if (d->phase != DELTA_SEEN)
		return broken(d, "a message_stop before the answer's end");
	d->phase = STOPPED;
	return false; // nothing more is of interest
}

static bool on_error(struct model_decoder *d, const json_t *event)
{
	const json_t *error = json_object_get(event, "error");
	model_failure_event(&d->failure, json_span(json_object_get(error, "type")),
	                    json_span(json_object_get(error, "message")));
	d->failed = true;
	return false;
}

static bool on_event(void *arg, struct span name, struct span data)
{
	struct model_decoder *d = arg;
	json_t *AUTO_JSON event = NULL;
	struct err e;
	if (span_is(name, "ping"))
		return true;
	if (failed(json_parse_object_lossy(data, "an event of the stream", &event, &e)))
		return broken(d, e.msg);
	if (is_type(event, "error"))
		return on_error(d, event);
	if (is_type(event, "message_start"))
		return on_message_start(d, event);
	if (is_type(event, "content_block_start"))
		return on_block_start(d, event);
	if (is_type(event, "content_block_delta"))
		return on_block_delta(d, event);
	if (is_type(event, "content_block_stop"))
		return on_block_stop(d, event);
	if (is_type(event, "message_delta"))
		return on_message_delta(d, event);
	if (is_type(event, "message_stop"))
		return on_message_stop(d);
	return true; // the API may add kinds of events, and asks clients to pass them over
}

bool model_decoder_feed(struct model_decoder *d, struct span bytes, struct model_failure *f)
{
	struct err e;
	if (d->phase == STOPPED)
		return true;
	if (!d->failed && failed(sse_decoder_feed(&d->sse, bytes, on_event, d, &e)) && !d->failed)
		broken(d, e.msg);
	if (d->failed)
		*f = d->failure;
	return !d->failed;
}

bool model_decoder_whole(const struct model_decoder *d)
{
	return d->phase == STOPPED;
}

bool model_decoder_end(struct model_decoder *d, struct model_answer *out, struct model_failure *f)
{
	if (!d->failed && d->phase != STOPPED)
		broken(d, "the stream ended before message_stop");
	if (d->failed) {
		*f = d->failure;
		return false;
	}
	*out = d->answer;
	d->answer = (struct model_answer){0};
	return true;
}

#include "replay/reply.h"

#include "base/mem.h"
#include "net/sse.h"
#include "replay/fill.h"

#define FRAME_MAX (16 * 1024 * 1024)
#define PIECE 12 // bytes of text or of a tool's input in one delta

static bool when_holds(const struct scenario_when *w, const struct conversation *c, struct buf *result)
{
	if ((w->turn != 0 && w->turn != c->turn) || (w->round != 0 && w->round != c->round) ||
	    !scenario_match_holds(&w->user, buf_span(&c->user)))
		return false;
	if (w->result.how == SCENARIO_ANY && w->tool.len == 0 && w->failed == -1)
		return true;
	struct span tool;
	bool is_error;
	return c->has_result && conversation_result(c, SPAN_LIT(""), 0, result, &tool, &is_error) &&
	       scenario_match_holds(&w->result, buf_span(result)) && (w->tool.len == 0 || span_eq(w->tool, tool)) &&
	       (w->failed == -1 || w->failed == (int)is_error);
}

struct result reply_find(const struct scenario *s, const struct conversation *c, const struct scenario_scene **scene,
                         const struct scenario_step **step, struct err *e)
{
	struct buf AUTO_BUF result;
	buf_init(&result, c->user.max);
	for (size_t i = 0; i < s->n_scenes; i++) {
		*scene = &s->scenes[i];
		if (!scenario_match_holds(&(*scene)->when, buf_span(&c->first)))
			continue;
		for (size_t k = 0; k < (*scene)->n_steps; k++) {
			*step = &(*scene)->steps[k];
			if (when_holds(&(*step)->when, c, &result))
				return OK;
		}
		break;
	}
	return err_set(e, ERR_NOT_FOUND,
	               "the scenario has no answer for turn %zu (round %zu) of the conversation; latest user text: \"%.*s\"",
	               c->turn, c->round, SPAN_FMT(span_head(buf_span(&c->user), 100)));
}

static json_t *id_of(const char *prefix, const struct scenario_step *step, const struct conversation *c, size_t block)
{
	return json_sprintf("%s_replay_s%zu_t%zu_b%zu", prefix, step->index + 1, c->turn, block);
}

static json_t *block_of(const json_t *said, const struct scenario_step *step, const struct conversation *c, size_t i)
{
	json_t *text = json_object_get(said, "text"), *thinking = json_object_get(said, "thinking");
	if (text != NULL)
		return json_pack("{s:s, s:O}", "type", "text", "text", text);
	if (thinking != NULL)
		return json_pack("{s:s, s:O, s:o}", "type", "thinking", "thinking", thinking, "signature",
		                 id_of("sig", step, c, i));
	return json_pack("{s:s, s:o, s:O, s:O}", "type", "tool_use", "id", id_of("toolu", step, c, i), "name",
	                 json_object_get(said, "tool"), "input", json_object_get(said, "input"));
}

// A rough count, as a real model's would be: a token for each four bytes.
static json_int_t tokens_of(const json_t *j, uint64_t given)
{
	if (given != UINT64_MAX)
		return (json_int_t)given;
	char *AUTO_FREE text = json_text(j, NULL);
	return (json_int_t)(strlen(text) / 4 + 1);
}

struct result reply_message(const struct scenario_scene *scene, const struct scenario_step *step, const struct conversation *c,
                            struct span model, json_t **out, struct err *e)
{
	json_t *AUTO_JSON filled = NULL;
	json_t *said;
	size_t i;
	TRY(fill(scene, c, step->say, &filled, e));
	json_t *content = json_array();
	json_array_foreach (filled, i, said) {
		json_array_append_new(content, block_of(said, step, c, i));
	}
	json_t *usage = json_pack("{s:I, s:I, s:i, s:i}", "input_tokens", tokens_of(c->messages, step->input_tokens),
	                          "output_tokens", tokens_of(content, step->output_tokens), "cache_creation_input_tokens", 0,
	                          "cache_read_input_tokens", 0);
	json_t *details = span_is(step->stop, "refusal")
	                          ? json_pack("{s:s, s:n, s:n}", "type", "refusal", "category", "explanation")
	                          : json_null();
	*out = json_pack("{s:o, s:s, s:s, s:s%, s:o, s:s%, s:n, s:o, s:o}", "id", id_of("msg", step, c, 0), "type", "message",
	                 "role", "assistant", "model", model.data, model.len, "content", content, "stop_reason",
	                 step->stop.data, step->stop.len, "stop_sequence", "stop_details", details, "usage", usage);
	BUG_ON(*out == NULL);
	return OK;
}

static void add_frame(struct reply_frames *f, json_t *data)
{
	struct buf frame;
	buf_init(&frame, FRAME_MAX);
	char *AUTO_FREE text = json_text(data, NULL);
	BUG_ON(!sse_encode(&frame, json_string_value(json_object_get(data, "type")), span_of(text)));
	f->frames = mem_grow(f->frames, f->n + 1, sizeof(char *));
	f->frames[f->n++] = buf_take(&frame, NULL);
	json_decref(data);
}

// The length of the next piece: about PIECE bytes, and never in the middle of a character.
static size_t piece_len(struct span rest)
{
	size_t n = rest.len < PIECE ? rest.len : PIECE;
	while (n < rest.len && ((unsigned char)rest.data[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static void add_deltas(struct reply_frames *f, size_t index, const char *type, const char *member, struct span rest)
{
	while (rest.len > 0) {
		size_t n = piece_len(rest);
		add_frame(f, json_pack("{s:s, s:i, s:{s:s, s:s%}}", "type", "content_block_delta", "index", (int)index, "delta",
		                       "type", type, member, rest.data, n));
		rest = span_skip(rest, n);
	}
}

static void add_block(struct reply_frames *f, const json_t *block, size_t index)
{
	json_t *start = json_copy((json_t *)block);
	struct span type = json_span(json_object_get(block, "type"));
	char *AUTO_FREE input = NULL;
	const char *emptied = span_is(type, "tool_use") ? "input" : span_is(type, "text") ? "text" : "thinking";
	json_object_set_new(start, emptied, span_is(type, "tool_use") ? json_object() : json_string(""));
	if (json_object_get(start, "signature") != NULL)
		json_object_set_new(start, "signature", json_string(""));
	add_frame(f, json_pack("{s:s, s:i, s:o}", "type", "content_block_start", "index", (int)index, "content_block", start));
	if (span_is(type, "text")) {
		add_deltas(f, index, "text_delta", "text", json_span(json_object_get(block, "text")));
	} else if (span_is(type, "thinking")) {
		add_deltas(f, index, "thinking_delta", "thinking", json_span(json_object_get(block, "thinking")));
		add_frame(f, json_pack("{s:s, s:i, s:{s:s, s:O}}", "type", "content_block_delta", "index", (int)index, "delta",
		                       "type", "signature_delta", "signature", json_object_get(block, "signature")));
	} else {
		input = json_text(json_object_get(block, "input"), NULL);
		add_frame(f, json_pack("{s:s, s:i, s:{s:s, s:s}}", "type", "content_block_delta", "index", (int)index, "delta",
		                       "type", "input_json_delta", "partial_json", ""));
		add_deltas(f, index, "input_json_delta", "partial_json", span_of(input));
	}
	add_frame(f, json_pack("{s:s, s:i}", "type", "content_block_stop", "index", (int)index));
}

void reply_frames_make(const json_t *message, struct reply_frames *out)
{
	*out = (struct reply_frames){0};
	json_t *usage = json_object_get(message, "usage"), *block;
	size_t i;
	json_t *start = json_copy((json_t *)message);
	json_object_set_new(start, "content", json_array());
	json_object_set_new(start, "stop_reason", json_null());
	json_object_set_new(start, "stop_details", json_null());
	json_t *first_usage = json_copy(usage);
	json_object_set_new(first_usage, "output_tokens", json_integer(1));
	json_object_set_new(start, "usage", first_usage);
	add_frame(out, json_pack("{s:s, s:o}", "type", "message_start", "message", start));
	add_frame(out, json_pack("{s:s}", "type", "ping"));
	json_array_foreach (json_object_get(message, "content"), i, block) {
		add_block(out, block, i);
	}
	add_frame(out, json_pack("{s:s, s:{s:O, s:n, s:O}, s:{s:O}}", "type", "message_delta", "delta", "stop_reason",
	                         json_object_get(message, "stop_reason"), "stop_sequence", "stop_details",
	                         json_object_get(message, "stop_details"), "usage", "output_tokens",
	                         json_object_get(usage, "output_tokens")));
	add_frame(out, json_pack("{s:s}", "type", "message_stop"));
}

void reply_frames_fini(struct reply_frames *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->frames[i]);
	free(f->frames);
	*f = (struct reply_frames){0};
}

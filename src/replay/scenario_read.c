// From a scenario's YAML to its scenes: everything checked here, so that playing one can't meet a surprise.
#include "base/mem.h"
#include "replay/fill.h"
#include "replay/scenario.h"

#define FILE_MAX (4 * 1024 * 1024)
#define PAUSE_MAX_US 600000000ull

typedef struct result read_item(const struct yaml_doc *d, const struct yaml_node *n, void *item, struct err *e);

// Reads each item of a list into a new array of `size` bytes each; *out is set even when an item fails, so that it is freed.
static struct result read_list(const struct yaml_doc *d, const struct yaml_node *list, const char *what, size_t size,
                               read_item *read, void *out, size_t *n, struct err *e)
{
	if (list->kind != YAML_LIST || list->count == 0)
		return yaml_fail(d, list, e, "%s: expected a list", what);
	char *items = mem_zero(list->count * size);
	memcpy(out, &items, sizeof(items));
	for (size_t i = 0; i < list->count; i++) {
		*n = i + 1;
		TRY(read(d, list->items[i], items + i * size, e));
	}
	return OK;
}

static struct result read_word(const struct yaml_doc *d, const struct yaml_node *n, const char *key, const char *const *words,
                               unsigned *out, struct err *e)
{
	struct span text;
	TRY(yaml_text(d, n, key, &text, e));
	for (*out = 0; words[*out] != NULL; ++*out)
		if (span_is(text, words[*out]))
			return OK;
	struct buf AUTO_BUF all;
	buf_init(&all, 400);
	for (size_t i = 0; words[i] != NULL; i++)
		BUG_ON(!buf_printf(&all, "%s%s", i == 0 ? "" : ", ", words[i]));
	return yaml_fail(d, n, e, "%s: expected one of %s", key, buf_str(&all));
}

static struct result opt_text(const struct yaml_doc *d, const struct yaml_node *map, const char *key, struct span *out,
                              struct err *e)
{
	const struct yaml_node *n = yaml_get(map, key);
	return n == NULL ? OK : yaml_text(d, n, key, out, e);
}

static struct result opt_uint(const struct yaml_doc *d, const struct yaml_node *map, const char *key, uint64_t min,
                              uint64_t max, uint64_t *out, struct err *e)
{
	const struct yaml_node *n = yaml_get(map, key);
	return n == NULL ? OK : yaml_uint(d, n, key, min, max, out, e);
}

static struct result opt_pause(const struct yaml_doc *d, const struct yaml_node *map, const char *key, uint64_t *out_us,
                               struct err *e)
{
	const struct yaml_node *n = yaml_get(map, key);
	if (n == NULL)
		return OK;
	TRY(yaml_duration(d, n, key, out_us, e));
	if (*out_us > PAUSE_MAX_US)
		return yaml_fail(d, n, e, "%s: at most 10m", key);
	return OK;
}

static struct result read_match(const struct yaml_doc *d, const struct yaml_node *map, const char *key,
                                struct scenario_match *out, struct err *e)
{
	static const char *const how[] = {"equals", "contains", "starts", NULL};
	const struct yaml_node *n = yaml_get(map, key);
	if (n == NULL)
		return OK;
	TRY(yaml_check_keys(d, n, key, how, e));
	if (n->count != 1)
		return yaml_fail(d, n, e, "%s: expected exactly one of equals, contains, starts", key);
	for (unsigned i = 0; how[i] != NULL; i++)
		if (span_is(n->pairs[0].key, how[i]))
			out->how = SCENARIO_EQUALS + i;
	return yaml_text(d, n->pairs[0].value, key, &out->text, e);
}

static struct result read_when(const struct yaml_doc *d, const struct yaml_node *n, struct scenario_when *w, struct err *e)
{
	static const char *const keys[] = {"user", "result", "tool", "turn", "round", "failed", NULL};
	TRY(yaml_check_keys(d, n, "when", keys, e));
	TRY(read_match(d, n, "user", &w->user, e));
	TRY(read_match(d, n, "result", &w->result, e));
	TRY(opt_text(d, n, "tool", &w->tool, e));
	TRY(opt_uint(d, n, "turn", 1, 1000000, &w->turn, e));
	TRY(opt_uint(d, n, "round", 1, 1000000, &w->round, e));
	const struct yaml_node *f = yaml_get(n, "failed");
	bool is_failed = false;
	if (f != NULL)
		TRY(yaml_bool(d, f, "failed", &is_failed, e));
	w->failed = f == NULL ? -1 : is_failed;
	return OK;
}

static struct result read_take(const struct yaml_doc *d, const struct yaml_node *n, struct scenario_take *t, struct err *e)
{
	static const char *const keys[] = {"from", "tool", "turn", "json", "after", "before", NULL};
	static const char *const from[] = {"result", "user", "first", NULL};
	TRY(yaml_check_keys(d, n, "take", keys, e));
	t->at = n;
	const struct yaml_node *f = yaml_get(n, "from"), *json = yaml_get(n, "json");
	unsigned word = SCENARIO_FROM_RESULT;
	if (f != NULL)
		TRY(read_word(d, f, "from", from, &word, e));
	t->from = word;
	TRY(opt_text(d, n, "tool", &t->tool, e));
	TRY(opt_uint(d, n, "turn", 1, 1000000, &t->turn, e));
	TRY(opt_text(d, n, "after", &t->after, e));
	TRY(opt_text(d, n, "before", &t->before, e));
	t->has_json = json != NULL;
	if (json == NULL)
		return OK;
	if (t->after.len > 0 || t->before.len > 0)
		return yaml_fail(d, json, e, "json: either json, or after and before");
	if (json->kind != YAML_SCALAR || (json->text.len > 0 && json->text.data[0] != '/'))
		return yaml_fail(d, json, e, "json: expected a pointer such as /claim/id");
	t->json = json->text;
	return OK;
}

static struct result read_takes(const struct yaml_doc *d, const struct yaml_node *n, struct scenario_scene *s, struct err *e)
{
	if (n->kind != YAML_MAP)
		return yaml_fail(d, n, e, "take: expected a name and what it stands for on each line");
	s->takes = mem_zero((n->count + 1) * sizeof(*s->takes));
	s->n_takes = n->count;
	for (size_t i = 0; i < n->count; i++) {
		struct span name = n->pairs[i].key, rest, before, word;
		AUTO_FREE char *braced = mem_printf("{{%.*s}}", SPAN_FMT(name));
		rest = span_of(braced);
		if (!fill_next(&rest, &before, &word) || !span_eq(word, name))
			return yaml_fail(d, n->pairs[i].value, e, "take: a name is letters, digits and '_'");
		s->takes[i].name = name;
		TRY(read_take(d, n->pairs[i].value, &s->takes[i], e));
	}
	return OK;
}

static struct result read_fault(const struct yaml_doc *d, const struct yaml_node *n, void *item, struct err *e)
{
	static const char *const keys[] = {"do", "at", "times", "status", "retry_after", "type", "bytes", "pause", NULL};
	static const char *const deeds[] = {"stall", "truncate", "drop", "garbage", "error", "status", "drip", NULL};
	struct scenario_fault *f = item;
	TRY(yaml_check_keys(d, n, "faults", keys, e));
	*f = (struct scenario_fault){.times = 1, .retry_after = UINT64_MAX, .bytes = 1, .pause_us = 1000};
	const struct yaml_node *deed = yaml_get(n, "do");
	unsigned word;
	if (deed == NULL)
		return yaml_fail(d, n, e, "faults: \"do\" is missing");
	TRY(read_word(d, deed, "do", deeds, &word, e));
	f->deed = word;
	TRY(opt_uint(d, n, "at", 0, 1000000, &f->at, e));
	TRY(opt_uint(d, n, "times", 1, 1000000000, &f->times, e));
	TRY(opt_uint(d, n, "status", 400, 599, &f->status, e));
	TRY(opt_uint(d, n, "retry_after", 0, 86400, &f->retry_after, e));
	TRY(opt_text(d, n, "type", &f->type, e));
	TRY(opt_uint(d, n, "bytes", 1, 1000000, &f->bytes, e));
	TRY(opt_pause(d, n, "pause", &f->pause_us, e));
	if ((f->deed == SCENARIO_STATUS) != (f->status != 0))
		return yaml_fail(d, n, e, "faults: \"status\" belongs to \"do: status\", and is needed there");
	return OK;
}

// Every variable in a text must be one of the scene's.
static struct result check_text(const struct yaml_doc *d, const struct yaml_node *n, const struct scenario_scene *s,
                                struct err *e)
{
	struct span rest = n->text, before, name;
	while (n->kind == YAML_SCALAR && fill_next(&rest, &before, &name)) {
		if (scenario_take_get(s, name) == NULL)
			return yaml_fail(d, n, e, "the variable {{%.*s}} is not among the scene's \"take\"", SPAN_FMT(name));
	}
	for (size_t i = 0; i < n->count && n->kind != YAML_SCALAR; i++)
		TRY(check_text(d, n->kind == YAML_MAP ? n->pairs[i].value : n->items[i], s, e));
	return OK;
}

static struct result read_block(const struct yaml_doc *d, const struct yaml_node *n, const struct scenario_scene *s,
                                json_t *say, struct err *e)
{
	static const char *const keys[] = {"text", "thinking", "tool", "input", NULL};
	TRY(yaml_check_keys(d, n, "say", keys, e));
	const struct yaml_node *text = yaml_get(n, "text"), *thinking = yaml_get(n, "thinking"), *tool = yaml_get(n, "tool"),
	                       *input = yaml_get(n, "input");
	if ((text != NULL) + (thinking != NULL) + (tool != NULL) != 1)
		return yaml_fail(d, n, e, "say: expected exactly one of text, thinking, tool");
	if ((tool != NULL) != (input != NULL))
		return yaml_fail(d, n, e, "say: \"input\" belongs to \"tool\", and is needed there");
	if (input != NULL && input->kind != YAML_MAP)
		return yaml_fail(d, input, e, "input: expected keys and values");
	struct span word;
	const struct yaml_node *first = text != NULL ? text : thinking != NULL ? thinking : tool;
	TRY(yaml_text(d, first, text != NULL ? "text" : thinking != NULL ? "thinking" : "tool", &word, e));
	TRY(check_text(d, n, s, e));
	json_array_append_new(say, yaml_to_json(n));
	json_t *block = json_array_get(say, json_array_size(say) - 1);
	// Texts stay texts, also those that look like numbers.
	json_object_set_new(block,
	                    n->pairs[0].value == first ? n->pairs[0].key.data
	                    : tool != NULL             ? "tool"
	                                               : "text",
	                    json_string_lossy(word));
	return OK;
}

static struct result read_say(const struct yaml_doc *d, const struct yaml_node *n, const struct scenario_scene *s, json_t *say,
                              bool *has_tool, struct err *e)
{
	if (n->kind != YAML_LIST || n->count == 0)
		return yaml_fail(d, n, e, "say: expected a list of text, thinking and tool");
	for (size_t i = 0; i < n->count; i++) {
		TRY(read_block(d, n->items[i], s, say, e));
		*has_tool |= yaml_get(n->items[i], "tool") != NULL;
	}
	return OK;
}

static struct result read_stop(const struct yaml_doc *d, const struct yaml_node *n, bool has_tool, struct span *out,
                               struct err *e)
{
	static const char *const words[] = {
	        "end_turn", "tool_use", "max_tokens", "pause_turn", "refusal", "model_context_window_exceeded", NULL};
	unsigned word = has_tool ? 1 : 0;
	if (n != NULL)
		TRY(read_word(d, n, "stop", words, &word, e));
	*out = span_of(words[word]);
	return OK;
}

static struct result read_usage(const struct yaml_doc *d, const struct yaml_node *n, struct scenario_step *step, struct err *e)
{
	static const char *const keys[] = {"input", "output", NULL};
	step->input_tokens = step->output_tokens = UINT64_MAX;
	if (n == NULL)
		return OK;
	TRY(yaml_check_keys(d, n, "usage", keys, e));
	TRY(opt_uint(d, n, "input", 0, 1000000000, &step->input_tokens, e));
	return opt_uint(d, n, "output", 0, 1000000000, &step->output_tokens, e);
}

static struct result read_step(const struct yaml_doc *d, const struct yaml_node *n, const struct scenario_scene *scene,
                               struct scenario_step *step, struct err *e)
{
	static const char *const keys[] = {"when", "say", "stop", "usage", "pace", "faults", NULL};
	TRY(yaml_check_keys(d, n, "steps", keys, e));
	const struct yaml_node *when = yaml_get(n, "when"), *say = yaml_get(n, "say"), *faults = yaml_get(n, "faults");
	// A step that sets no condition is for its own place in the conversation.
	step->when = (struct scenario_when){.failed = -1, .turn = (uint64_t)(step - scene->steps) + 1};
	if (when != NULL) {
		step->when.turn = 0;
		TRY(read_when(d, when, &step->when, e));
	}
	if (say == NULL)
		return yaml_fail(d, n, e, "steps: \"say\" is missing");
	bool has_tool = false;
	step->say = json_array();
	TRY(read_say(d, say, scene, step->say, &has_tool, e));
	TRY(read_stop(d, yaml_get(n, "stop"), has_tool, &step->stop, e));
	TRY(read_usage(d, yaml_get(n, "usage"), step, e));
	TRY(opt_pause(d, n, "pace", &step->pace_us, e));
	if (faults == NULL)
		return OK;
	return read_list(d, faults, "faults", sizeof(*step->faults), read_fault, &step->faults, &step->n_faults, e);
}

static struct result read_scene(const struct yaml_doc *d, const struct yaml_node *n, void *item, struct err *e)
{
	static const char *const keys[] = {"name", "when", "take", "steps", NULL};
	static const char *const when_keys[] = {"user", NULL};
	struct scenario_scene *s = item;
	struct span name;
	TRY(yaml_check_keys(d, n, "scenes", keys, e));
	TRY(opt_text(d, n, "name", &name, e));
	const struct yaml_node *when = yaml_get(n, "when"), *take = yaml_get(n, "take"), *steps = yaml_get(n, "steps");
	if (when != NULL) {
		TRY(yaml_check_keys(d, when, "a scene's when", when_keys, e));
		TRY(read_match(d, when, "user", &s->when, e));
	}
	if (take != NULL)
		TRY(read_takes(d, take, s, e));
	if (steps == NULL || steps->kind != YAML_LIST || steps->count == 0)
		return yaml_fail(d, steps == NULL ? n : steps, e, "scenes: \"steps\" must be a list of at least one step");
	s->steps = mem_zero(steps->count * sizeof(*s->steps));
	s->n_steps = steps->count;
	for (size_t i = 0; i < steps->count; i++)
		TRY(read_step(d, steps->items[i], s, &s->steps[i], e));
	return OK;
}

static struct result read_scenario(struct scenario *s, struct err *e)
{
	static const char *const keys[] = {"version", "scenes", NULL};
	const struct yaml_doc *d = s->doc;
	TRY(yaml_check_keys(d, d->root, "a scenario", keys, e));
	const struct yaml_node *version = yaml_get(d->root, "version"), *scenes = yaml_get(d->root, "scenes");
	uint64_t v;
	if (version == NULL || scenes == NULL)
		return yaml_fail(d, d->root, e, "a scenario has \"version: 1\" and \"scenes\"");
	TRY(yaml_uint(d, version, "version", 1, 1, &v, e));
	TRY(read_list(d, scenes, "scenes", sizeof(*s->scenes), read_scene, &s->scenes, &s->n_scenes, e));
	for (size_t i = 0; i < s->n_scenes; i++)
		for (size_t k = 0; k < s->scenes[i].n_steps; k++)
			s->scenes[i].steps[k].index = s->n_steps++;
	return OK;
}

static struct result finish(struct yaml_doc *doc, struct scenario **out, struct err *e)
{
	struct scenario *s = NEW(struct scenario);
	s->doc = doc;
	if (failed(read_scenario(s, e))) {
		scenario_free(s);
		return FAIL;
	}
	*out = s;
	return OK;
}

struct result scenario_parse(struct span text, const char *name, struct scenario **out, struct err *e)
{
	struct yaml_doc *doc;
	TRY(yaml_parse(text, name, &doc, e));
	return finish(doc, out, e);
}

struct result scenario_load(const char *path, struct scenario **out, struct err *e)
{
	struct yaml_doc *doc;
	TRY(yaml_load(path, FILE_MAX, &doc, e));
	return finish(doc, out, e);
}

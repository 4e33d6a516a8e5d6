#include "replay/fill.h"

#include "base/mem.h"

#define FILLED_MAX (4 * 1024 * 1024)

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool fill_next(struct span *rest, struct span *before, struct span *name)
{
	for (size_t i = 0; i + 4 < rest->len; i++) {
		if (rest->data[i] != '{' || rest->data[i + 1] != '{')
			continue;
		size_t end = i + 2;
		while (end < rest->len && word_char(rest->data[end]))
			end++;
		if (end == i + 2 || end + 1 >= rest->len || rest->data[end] != '}' || rest->data[end + 1] != '}')
			continue;
		*before = span_head(*rest, i);
		*name = (struct span){rest->data + i + 2, end - i - 2};
		*rest = span_skip(*rest, end + 2);
		return true;
	}
	*before = *rest;
	*rest = span_skip(*rest, rest->len);
	return false;
}

static bool cut_out(const struct scenario_take *t, struct span text, struct span *out)
{
	if (t->after.len > 0) {
		const char *at = memmem(text.data, text.len, t->after.data, t->after.len);
		if (at == NULL)
			return false;
		text = span_skip(text, (size_t)(at - text.data) + t->after.len);
	}
	if (t->before.len > 0) {
		const char *at = memmem(text.data, text.len, t->before.data, t->before.len);
		if (at == NULL)
			return false;
		text = span_head(text, (size_t)(at - text.data));
	}
	*out = text;
	return true;
}

// One step of an RFC 6901 pointer, "~1" and "~0" decoded.
static const json_t *descend(const json_t *in, struct span token)
{
	uint64_t index;
	if (json_is_array(in))
		return failed(span_to_u64(token, SIZE_MAX, "index", &index, NULL)) ? NULL : json_array_get(in, index);
	struct buf AUTO_BUF key;
	buf_init(&key, token.len);
	for (size_t i = 0; i < token.len; i++) {
		bool escape = token.data[i] == '~' && i + 1 < token.len;
		char c = !escape ? token.data[i] : token.data[i + 1] == '1' ? '/' : '~';
		BUG_ON(!buf_add(&key, (struct span){&c, 1}));
		i += escape;
	}
	return json_object_getn(in, buf_str(&key), buf_len(&key));
}

static bool point_at(struct span pointer, struct span text, struct buf *out)
{
	json_t *AUTO_JSON root = NULL;
	if (failed(json_parse(text, "result", &root, NULL)))
		return false;
	const json_t *at = root;
	struct span token;
	pointer = span_skip(pointer, 1);
	for (bool more = pointer.data != NULL && root != NULL; more && at != NULL;) {
		more = span_cut(pointer, '/', &token, &pointer);
		at = descend(at, token);
	}
	if (at == NULL)
		return false;
	if (json_is_string(at))
		return buf_add(out, json_span(at));
	char *AUTO_FREE written = json_text(at, NULL);
	return buf_add_str(out, written);
}

static struct result take(const struct scenario_take *t, const struct conversation *c, struct buf *out, struct err *e)
{
	struct buf AUTO_BUF result;
	buf_init(&result, c->user.max);
	struct span text = t->from == SCENARIO_FROM_FIRST ? buf_span(&c->first) : buf_span(&c->user);
	if (t->from == SCENARIO_FROM_RESULT) {
		if (!conversation_result(c, t->tool, t->turn, &result, NULL, NULL))
			return err_set(e, ERR_INVALID, "the scenario's variable %.*s: no such tool result yet",
			               SPAN_FMT(t->name));
		text = buf_span(&result);
	}
	struct span piece;
	bool found = t->has_json ? point_at(t->json, text, out) : cut_out(t, text, &piece) && buf_add(out, piece);
	if (!found)
		return err_set(e, ERR_INVALID, "the scenario's variable %.*s: not found in \"%.*s\"", SPAN_FMT(t->name),
		               SPAN_FMT(span_head(text, 100)));
	return OK;
}

static struct result fill_string(const struct scenario_scene *scene, const struct conversation *c, struct span text,
                                 json_t **out, struct err *e)
{
	struct buf AUTO_BUF filled;
	buf_init(&filled, FILLED_MAX);
	struct span before, name;
	for (bool more = true; more;) {
		more = fill_next(&text, &before, &name);
		if (!buf_add(&filled, before))
			return err_set(e, ERR_TOO_LARGE, "a text of the scenario grew over %d bytes", FILLED_MAX);
		if (more)
			TRY(take(scenario_take_get(scene, name), c, &filled, e));
	}
	*out = json_string_lossy(buf_span(&filled));
	return OK;
}

struct result fill(const struct scenario_scene *scene, const struct conversation *c, const json_t *say, json_t **out,
                   struct err *e)
{
	if (json_is_string(say))
		return fill_string(scene, c, json_span(say), out, e);
	if (!json_is_array(say) && !json_is_object(say)) {
		*out = json_deep_copy(say);
		return OK;
	}
	json_t *AUTO_JSON copy = json_is_array(say) ? json_array() : json_object();
	json_t *value, *filled = NULL;
	size_t i;
	const char *key;
	if (json_is_array(say)) {
		json_array_foreach (say, i, value) {
			TRY(fill(scene, c, value, &filled, e));
			json_array_append_new(copy, filled);
		}
	} else {
		json_object_foreach ((json_t *)say, key, value) {
			TRY(fill(scene, c, value, &filled, e));
			json_object_set_new(copy, key, filled);
		}
	}
	*out = STEAL(copy);
	return OK;
}

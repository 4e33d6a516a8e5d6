#include "control/metadata.h"

#define PAIRS_MAX 16
#define KEY_MAX 64
#define VALUE_MAX 512

static size_t characters(struct span s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
	return n;
}

static struct result take_pair(json_t *map, const char *key, json_t *value, bool patch, bool empty_deletes, struct err *e)
{
	size_t len = characters(span_of(key));
	if (len < 1 || len > KEY_MAX)
		return err_set(e, ERR_INVALID, "metadata: a key has 1 to %d characters", KEY_MAX);
	bool gone =
	        patch && (json_is_null(value) || (empty_deletes && json_is_string(value) && json_string_length(value) == 0));
	if (gone) {
		json_object_del(map, key);
		return OK;
	}
	if (!json_is_string(value))
		return err_set(e, ERR_INVALID, "metadata.%.64s: must be a string", key);
	if (characters(json_span(value)) > VALUE_MAX)
		return err_set(e, ERR_INVALID, "metadata.%.64s: a value has at most %d characters", key, VALUE_MAX);
	json_object_set(map, key, value);
	return OK;
}

struct result metadata_take(const json_t *body, const json_t *old, bool empty_deletes, json_t **out, struct err *e)
{
	json_t *given = NULL, *value;
	TRY(json_opt_object(body, "", "metadata", &given, e));
	json_t *map = old == NULL ? json_object() : json_copy((json_t *)old);
	const char *key;
	struct result r = OK;
	json_object_foreach (given, key, value) {
		if (!failed(r))
			r = take_pair(map, key, value, old != NULL, empty_deletes, e);
	}
	if (!failed(r) && json_object_size(map) > PAIRS_MAX)
		r = err_set(e, ERR_INVALID, "metadata: at most %d pairs", PAIRS_MAX);
	if (failed(r)) {
		json_decref(map);
		return r;
	}
	*out = map;
	return OK;
}

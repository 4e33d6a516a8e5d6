// Reading a YAML tree: what a key must be, and errors that say so.
#include <stdio.h>

#include "base/mem.h"
#include "base/words.h"
#include "base/yaml.h"

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	if (map == NULL || map->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->count; i++) {
		if (span_is(map->pairs[i].key, key))
			return map->pairs[i].value;
	}
	return NULL;
}

struct result yaml_check_keys(const struct yaml_doc *d, const struct yaml_node *map, const char *what, const char *const *known,
                              struct err *e)
{
	if (map->kind != YAML_MAP)
		return yaml_fail(d, map, e, "%s: expected keys and values", what);
	for (size_t i = 0; i < map->count; i++) {
		const struct yaml_pair *p = &map->pairs[i];
		const char *const *k = known;
		while (*k != NULL && !span_is(p->key, *k))
			k++;
		if (*k != NULL)
			continue;
		struct yaml_node at = {.line = p->line, .column = p->column};
		const char *near = words_nearest(p->key, known);
		if (near != NULL)
			return yaml_fail(d, &at, e, "unknown key '%.*s' in %s; did you mean '%s'?",
			                 SPAN_FMT(span_head(p->key, 60)), what, near);
		AUTO_FREE char *all = words_joined(known, ", ");
		return yaml_fail(d, &at, e, "unknown key '%.*s' in %s; known are: %s", SPAN_FMT(span_head(p->key, 60)), what,
		                 all);
	}
	return OK;
}

struct result yaml_text(const struct yaml_doc *d, const struct yaml_node *n, const char *key, struct span *out, struct err *e)
{
	if (n->kind != YAML_SCALAR || n->text.len == 0)
		return yaml_fail(d, n, e, "%s: expected a text", key);
	*out = n->text;
	return OK;
}

struct result yaml_uint(const struct yaml_doc *d, const struct yaml_node *n, const char *key, uint64_t min, uint64_t max,
                        uint64_t *out, struct err *e)
{
	uint64_t v;
	if (n->kind != YAML_SCALAR || failed(span_to_u64(n->text, max, key, &v, NULL)) || v < min)
		return yaml_fail(d, n, e, "%s: expected a whole number from %llu to %llu", key, (unsigned long long)min,
		                 (unsigned long long)max);
	*out = v;
	return OK;
}

struct result yaml_bool(const struct yaml_doc *d, const struct yaml_node *n, const char *key, bool *out, struct err *e)
{
	bool yes = n->kind == YAML_SCALAR && span_is(n->text, "true");
	bool no = n->kind == YAML_SCALAR && span_is(n->text, "false");
	if (!yes && !no)
		return yaml_fail(d, n, e, "%s: expected true or false", key);
	*out = yes;
	return OK;
}

struct unit {
	const char *name;
	uint64_t factor;
};

// Digits and one of the units (up to one with a NULL name); false when it is neither or too large.
static bool with_unit(struct span text, const struct unit *units, uint64_t *out)
{
	size_t n = 0;
	while (n < text.len && text.data[n] >= '0' && text.data[n] <= '9')
		n++;
	uint64_t v;
	if (failed(span_to_u64(span_head(text, n), UINT64_MAX, "", &v, NULL)))
		return false;
	struct span unit = span_trim(span_skip(text, n));
	for (; units->name != NULL; units++) {
		if (span_is(unit, units->name))
			return !__builtin_mul_overflow(v, units->factor, out);
	}
	return false;
}

struct result yaml_bytes(const struct yaml_doc *d, const struct yaml_node *n, const char *key, uint64_t *out, struct err *e)
{
	static const struct unit units[] = {
	        {"", 1},
	        {"B", 1},
	        {"kB", 1000},
	        {"MB", 1000000},
	        {"GB", 1000000000},
	        {"TB", 1000000000000},
	        {"KiB", 1ULL << 10},
	        {"MiB", 1ULL << 20},
	        {"GiB", 1ULL << 30},
	        {"TiB", 1ULL << 40},
	        {NULL, 0},
	};
	if (n->kind != YAML_SCALAR || !with_unit(n->text, units, out))
		return yaml_fail(d, n, e, "%s: expected a size such as 512MiB or 2GiB", key);
	return OK;
}

struct result yaml_duration(const struct yaml_doc *d, const struct yaml_node *n, const char *key, uint64_t *out_us,
                            struct err *e)
{
	static const struct unit units[] = {
	        {"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}, {NULL, 0},
	};
	if (n->kind != YAML_SCALAR || !with_unit(n->text, units, out_us))
		return yaml_fail(d, n, e, "%s: expected a duration such as 500ms, 60s or 5m", key);
	return OK;
}

static json_t *scalar_to_json(const struct yaml_node *n)
{
	struct span t = n->text;
	if (!n->quoted) {
		if (t.len == 0 || span_is(t, "null") || span_is(t, "~"))
			return json_null();
		if (span_is(t, "true") || span_is(t, "false"))
			return json_boolean(span_is(t, "true"));
		uint64_t v;
		bool minus = t.data[0] == '-';
		if (!failed(span_to_u64(span_skip(t, minus), INT64_MAX, "", &v, NULL)))
			return json_integer(minus ? -(int64_t)v : (int64_t)v);
	}
	return json_string_lossy(t);
}

json_t *yaml_to_json(const struct yaml_node *n)
{
	if (n->kind == YAML_SCALAR)
		return scalar_to_json(n);
	json_t *j = n->kind == YAML_MAP ? json_object() : json_array();
	for (size_t i = 0; i < n->count; i++) {
		if (n->kind == YAML_MAP)
			json_object_setn_new(j, n->pairs[i].key.data, n->pairs[i].key.len, yaml_to_json(n->pairs[i].value));
		else
			json_array_append_new(j, yaml_to_json(n->items[i]));
	}
	return j;
}

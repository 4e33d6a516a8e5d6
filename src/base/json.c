#include "base/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

// jansson has a fixed depth limit of its own (2048); ours is far below, and counted before anything is built.
static bool depth_ok(struct span t)
{
	unsigned depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < t.len; i++) {
		char c = t.data[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return false;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return true;
}

struct result json_parse(struct span text, const char *what, json_t **out, struct err *e)
{
	if (!depth_ok(text))
		return err_set(e, ERR_INVALID, "%s: nested deeper than %d", what, JSON_DEPTH_MAX);
	json_error_t je;
	json_t *j = json_loadb(text.data == NULL ? "" : text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (j == NULL)
		return err_set(e, ERR_INVALID, "%s is not valid JSON: line %d, column %d: %s", what, je.line, je.column,
		               je.text);
	*out = j;
	return OK;
}

static struct result require_object(json_t *j, const char *what, json_t **out, struct err *e)
{
	if (!json_is_object(j)) {
		json_decref(j);
		return err_set(e, ERR_INVALID, "%s must be a JSON object", what);
	}
	*out = j;
	return OK;
}

struct result json_parse_object(struct span text, const char *what, json_t **out, struct err *e)
{
	json_t *j;
	TRY(json_parse(text, what, &j, e));
	return require_object(j, what, out, e);
}

// The code unit that the escape at the head of `t` stands for; -1 when there is none.
static int escaped_unit(struct span t)
{
	char digits[5] = "", *end;
	if (t.len < 6 || t.data[0] != '\\' || t.data[1] != 'u')
		return -1;
	memcpy(digits, t.data + 2, 4);
	long unit = strtol(digits, &end, 16);
	return end == digits + 4 && isxdigit((unsigned char)digits[0]) ? (int)unit : -1;
}

// Overwrites every escape that stands for no character with one that does, of the same length.
static void mend_escapes(char *text, size_t len)
{
	static const char replacement[6] = {'\\', 'u', 'f', 'f', 'f', 'd'};
	for (size_t i = 0; i + 1 < len; i++) {
		if (text[i] != '\\')
			continue;
		int unit = escaped_unit(span_from(text + i, len - i));
		bool high = unit >= 0xD800 && unit <= 0xDBFF, low = unit >= 0xDC00 && unit <= 0xDFFF;
		int next = high ? escaped_unit(span_from(text + i + 6, len - i - 6)) : -1;
		if (high && next >= 0xDC00 && next <= 0xDFFF)
			i += 11;
		else if (unit == 0 || high || low)
			memcpy(text + i, replacement, sizeof(replacement));
		else
			i++; // what is escaped, which may be a backslash
	}
}

struct result json_parse_lossy(struct span text, const char *what, json_t **out, struct err *e)
{
	if (text.len == 0 || memmem(text.data, text.len, "\\u", 2) == NULL)
		return json_parse(text, what, out, e);
	AUTO_FREE char *mended = span_dup(text);
	mend_escapes(mended, text.len);
	return json_parse(span_from(mended, text.len), what, out, e);
}

struct result json_parse_object_lossy(struct span text, const char *what, json_t **out, struct err *e)
{
	json_t *j;
	TRY(json_parse_lossy(text, what, &j, e));
	return require_object(j, what, out, e);
}

char *json_text(const json_t *j, size_t *len)
{
	char *s = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	BUG_ON(s == NULL);
	if (len != NULL)
		*len = strlen(s);
	return s;
}

static const char *type_name(const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction";
	case JSON_NULL:
		return "null";
	default:
		return "a boolean";
	}
}

static struct result missing(const char *where, const char *name, struct err *e)
{
	return err_set(e, ERR_INVALID, "%s%s%s: required", where, *where == '\0' ? "" : ".", name);
}

static struct result mistyped(const char *where, const char *name, const char *want, const json_t *got, struct err *e)
{
	return err_set(e, ERR_INVALID, "%s%s%s: expected %s, got %s", where, *where == '\0' ? "" : ".", name, want,
	               type_name(got));
}

// *out is the member, or NULL when it is absent or null.
static const json_t *member(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	return json_is_null(v) ? NULL : v;
}

struct span json_span(const json_t *string)
{
	return json_is_string(string) ? (struct span){json_string_value(string), json_string_length(string)}
	                              : (struct span){"", 0};
}

struct result json_opt_string(const json_t *o, const char *where, const char *name, struct span *out, struct err *e)
{
	const json_t *v = member(o, name);
	if (v == NULL)
		return OK;
	if (!json_is_string(v))
		return mistyped(where, name, "a string", v, e);
	*out = json_span(v);
	return OK;
}

struct result json_get_string(const json_t *o, const char *where, const char *name, struct span *out, struct err *e)
{
	return member(o, name) == NULL ? missing(where, name, e) : json_opt_string(o, where, name, out, e);
}

struct result json_opt_int(const json_t *o, const char *where, const char *name, int64_t dflt, int64_t *out, struct err *e)
{
	const json_t *v = member(o, name);
	if (v != NULL && !json_is_integer(v))
		return mistyped(where, name, "an integer", v, e);
	*out = v == NULL ? dflt : json_integer_value(v);
	return OK;
}

struct result json_get_int(const json_t *o, const char *where, const char *name, int64_t *out, struct err *e)
{
	return member(o, name) == NULL ? missing(where, name, e) : json_opt_int(o, where, name, 0, out, e);
}

struct result json_opt_bool(const json_t *o, const char *where, const char *name, bool dflt, bool *out, struct err *e)
{
	const json_t *v = member(o, name);
	if (v != NULL && !json_is_boolean(v))
		return mistyped(where, name, "true or false", v, e);
	*out = v == NULL ? dflt : json_is_true(v);
	return OK;
}

struct result json_opt_object(const json_t *o, const char *where, const char *name, json_t **out, struct err *e)
{
	const json_t *v = member(o, name);
	if (v != NULL && !json_is_object(v))
		return mistyped(where, name, "an object", v, e);
	*out = v == NULL ? NULL : json_object_get(o, name);
	return OK;
}

struct result json_get_object(const json_t *o, const char *where, const char *name, json_t **out, struct err *e)
{
	return member(o, name) == NULL ? missing(where, name, e) : json_opt_object(o, where, name, out, e);
}

struct result json_opt_array(const json_t *o, const char *where, const char *name, json_t **out, struct err *e)
{
	const json_t *v = member(o, name);
	if (v != NULL && !json_is_array(v))
		return mistyped(where, name, "an array", v, e);
	*out = v == NULL ? NULL : json_object_get(o, name);
	return OK;
}

struct result json_get_array(const json_t *o, const char *where, const char *name, json_t **out, struct err *e)
{
	return member(o, name) == NULL ? missing(where, name, e) : json_opt_array(o, where, name, out, e);
}

json_t *json_string_lossy(struct span bytes)
{
	bool clean = span_is_utf8(bytes) && (bytes.len == 0 || memchr(bytes.data, '\0', bytes.len) == NULL);
	if (clean)
		return json_stringn(bytes.data == NULL ? "" : bytes.data, bytes.len);
	struct buf b;
	buf_init(&b, bytes.len * 3);
	while (bytes.len > 0) {
		size_t n = bytes.data[0] == '\0' ? 0 : span_utf8_len(bytes);
		BUG_ON(!buf_add(&b, n > 0 ? span_head(bytes, n) : SPAN_LIT("\xef\xbf\xbd")));
		bytes = span_skip(bytes, n > 0 ? n : 1);
	}
	json_t *s = json_stringn(buf_str(&b), buf_len(&b));
	buf_fini(&b);
	return s;
}

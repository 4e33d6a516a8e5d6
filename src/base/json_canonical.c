// RFC 8785, the JSON Canonicalization Scheme, for the values our log holds: no number but integers within 2^53.
#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"

#define EXACT_MAX ((int64_t)1 << 53)

// The next code point of well-formed UTF-8 at *s, which moves past it.
static uint32_t next_code_point(const unsigned char **s)
{
	const unsigned char *p = *s;
	if (p[0] < 0x80) {
		*s += 1;
		return p[0];
	}
	if (p[0] < 0xe0) {
		*s += 2;
		return (p[0] & 31U) << 6 | (p[1] & 63U);
	}
	if (p[0] < 0xf0) {
		*s += 3;
		return (p[0] & 15U) << 12 | (p[1] & 63U) << 6 | (p[2] & 63U);
	}
	*s += 4;
	return (p[0] & 7U) << 18 | (p[1] & 63U) << 12 | (p[2] & 63U) << 6 | (p[3] & 63U);
}

// The first UTF-16 code unit decides unless both are surrogate pairs, whose order is that of their code points.
static uint32_t utf16_rank(uint32_t cp)
{
	return cp < 0x10000 ? cp << 16 : (0xd800 + ((cp - 0x10000) >> 10)) << 16 | (0xdc00 + ((cp - 0x10000) & 0x3ff));
}

static int compare_names(const void *a, const void *b)
{
	const unsigned char *x = *(const unsigned char *const *)a, *y = *(const unsigned char *const *)b;
	while (*x != '\0' && *y != '\0') {
		uint32_t rx = utf16_rank(next_code_point(&x)), ry = utf16_rank(next_code_point(&y));
		if (rx != ry)
			return rx < ry ? -1 : 1;
	}
	return *x == *y ? 0 : *x == '\0' ? -1 : 1;
}

static bool add_string(struct buf *out, struct span s)
{
	if (!buf_add_str(out, "\""))
		return false;
	size_t from = 0;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		static const char shorts[] = "\b\t\n\f\r";
		const char *at = c == '\0' ? NULL : strchr(shorts, c);
		char escape[8] = {'\\', (char)c, '\0'};
		if (at != NULL)
			escape[1] = "btnfr"[at - shorts];
		else if (c < 0x20)
			snprintf(escape, sizeof(escape), "\\u%04x", c);
		if (!buf_add(out, (struct span){s.data + from, i - from}) || !buf_add_str(out, escape))
			return false;
		from = i + 1;
	}
	return buf_add(out, span_skip(s, from)) && buf_add_str(out, "\"");
}

static struct result add_value(const json_t *j, struct buf *out, struct err *e);

static struct result full(struct buf *out, struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "canonical JSON is over %zu bytes", out->max);
}

static struct result add_object(const json_t *j, struct buf *out, struct err *e)
{
	size_t n = json_object_size(j), i = 0;
	AUTO_FREE char *mem = mem_alloc(n * sizeof(char *));
	const char **names = (const char **)(void *)mem;
	const char *name;
	json_t *value;
	json_object_foreach ((json_t *)j, name, value)
		names[i++] = name;
	qsort(names, n, sizeof(char *), compare_names);
	if (!buf_add_str(out, "{"))
		return full(out, e);
	for (i = 0; i < n; i++) {
		if ((i > 0 && !buf_add_str(out, ",")) || !add_string(out, span_of(names[i])) || !buf_add_str(out, ":"))
			return full(out, e);
		TRY(add_value(json_object_get(j, names[i]), out, e));
	}
	return buf_add_str(out, "}") ? OK : full(out, e);
}

static struct result add_array(const json_t *j, struct buf *out, struct err *e)
{
	if (!buf_add_str(out, "["))
		return full(out, e);
	for (size_t i = 0; i < json_array_size(j); i++) {
		if (i > 0 && !buf_add_str(out, ","))
			return full(out, e);
		TRY(add_value(json_array_get(j, i), out, e));
	}
	return buf_add_str(out, "]") ? OK : full(out, e);
}

static struct result add_value(const json_t *j, struct buf *out, struct err *e)
{
	bool added = false;
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return add_object(j, out, e);
	case JSON_ARRAY:
		return add_array(j, out, e);
	case JSON_STRING:
		added = add_string(out, json_span(j));
		break;
	case JSON_INTEGER:
		if (json_integer_value(j) > EXACT_MAX || json_integer_value(j) < -EXACT_MAX)
			return err_set(e, ERR_INVALID, "canonical JSON: an integer beyond 2^53 must be a string");
		added = buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
		break;
	case JSON_REAL:
		return err_set(e, ERR_INVALID, "canonical JSON: a number with a fraction has no place in an entry");
	case JSON_TRUE:
		added = buf_add_str(out, "true");
		break;
	case JSON_FALSE:
		added = buf_add_str(out, "false");
		break;
	case JSON_NULL:
		added = buf_add_str(out, "null");
		break;
	}
	return added ? OK : full(out, e);
}

struct result json_canonical(const json_t *j, struct buf *out, struct err *e)
{
	return add_value(j, out, e);
}

#include "control/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

bool text_string(struct buf *out, const char *s)
{
	if (s == NULL)
		return buf_add_str(out, "null");
	AUTO_JSON json_t *j = json_string_lossy(span_of(s));
	AUTO_FREE char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);
	BUG_ON(text == NULL);
	return buf_add_str(out, text);
}

bool text_time(struct buf *out, int64_t utc_us)
{
	if (utc_us == 0)
		return buf_add_str(out, "null");
	char at[CLOCK_RFC3339_LEN];
	clock_format(utc_us, at);
	return buf_add_str(out, "\"") && buf_add_str(out, at) && buf_add_str(out, "\"");
}

struct result text_check_name(struct span s, const char *what, size_t min, size_t max, struct err *e)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
			return err_set(e, ERR_INVALID, "%s: must hold no control characters", what);
		n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
	}
	return n < min || n > max ? err_set(e, ERR_INVALID, "%s: must have %zu to %zu characters", what, min, max) : OK;
}

void text_replace(char **at, struct span s)
{
	free(*at);
	*at = span_dup(s);
}

struct result text_take_opt(const json_t *body, const char *name, size_t min, size_t max, char **at, struct err *e)
{
	json_t *v = json_object_get(body, name);
	if (v == NULL)
		return OK;
	if (json_is_null(v)) {
		free(*at);
		*at = NULL;
		return OK;
	}
	struct span s;
	size_t n = 0;
	TRY(json_get_string(body, "", name, &s, e));
	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
	if (n < min || n > max)
		return err_set(e, ERR_INVALID, "%s: must have %zu to %zu characters", name, min, max);
	text_replace(at, s);
	return OK;
}

void text_where(char out[TEXT_WHERE_MAX], const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(out, TEXT_WHERE_MAX, fmt, ap);
	va_end(ap);
}

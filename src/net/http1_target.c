// Percent-encoding in queries and paths (RFC 3986 section 2.1). What comes out is UTF-8 without NUL, so that it can go into
// JSON, a database or a C string as it is.
#include "net/http1.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static struct result decode(struct span in, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < in.len; i++) {
		char c = in.data[i];
		if (c == '%') {
			int hi = i + 2 < in.len ? hex_value(in.data[i + 1]) : -1;
			int lo = i + 2 < in.len ? hex_value(in.data[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return err_set(e, ERR_INVALID, "'%%' without two hex digits in the URL");
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (c == '\0')
			return err_set(e, ERR_INVALID, "a NUL in the URL");
		if (!buf_add(out, (struct span){&c, 1}))
			return err_set(e, ERR_TOO_LARGE, "a part of the URL is longer than %zu bytes", out->max);
	}
	return span_is_utf8(buf_span(out)) ? OK : err_set(e, ERR_INVALID, "the URL does not decode to UTF-8");
}

struct result http1_query_next(struct span *rest, struct buf *name, struct buf *value, bool *more, struct err *e)
{
	struct span pair = {0}, n, v;
	while (rest->len > 0 && pair.len == 0)
		span_cut(*rest, '&', &pair, rest);
	buf_clear(name);
	buf_clear(value);
	*more = pair.len > 0;
	if (pair.len == 0)
		return OK;
	span_cut(pair, '=', &n, &v);
	TRY(decode(n, name, e));
	return decode(v, value, e);
}

struct result http1_decode_segment(struct span in, struct buf *out, struct err *e)
{
	buf_clear(out);
	TRY(decode(in, out, e));
	if (buf_len(out) > 0 && memchr(buf_span(out).data, '/', buf_len(out)) != NULL)
		return err_set(e, ERR_INVALID, "an encoded '/' in the URL's path");
	return OK;
}

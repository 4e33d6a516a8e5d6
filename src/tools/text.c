#include "tools/text.h"

#include "base/mem.h"

// The range that the second byte must be in depends on the first (Unicode, table 3-7).
static void second_byte(unsigned char lead, unsigned char *low, unsigned char *high)
{
	*low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	*high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
}

uint32_t text_next(struct span a, size_t *len)
{
	const unsigned char *p = (const unsigned char *)a.data;
	unsigned char lead = p[0];
	*len = 1;
	if (lead < 0x80)
		return lead;
	size_t want = lead >= 0xC2 && lead <= 0xDF   ? 2
	              : lead >= 0xE0 && lead <= 0xEF ? 3
	              : lead >= 0xF0 && lead <= 0xF4 ? 4
	                                             : 0;
	if (want == 0)
		return 0xFFFD;
	uint32_t code = lead & (0xFFU >> (want + 1));
	unsigned char low, high;
	second_byte(lead, &low, &high);
	for (size_t i = 1; i < want; i++) {
		if (i >= a.len || p[i] < low || p[i] > high)
			return 0xFFFD;
		code = code << 6 | (p[i] & 0x3F);
		*len = i + 1;
		low = 0x80;
		high = 0xBF;
	}
	return code;
}

void text_put(uint32_t c, char out[4], size_t *len)
{
	if (c < 0x80) {
		out[0] = (char)c;
		*len = 1;
	} else if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		*len = 2;
	} else if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		*len = 3;
	} else {
		out[0] = (char)(0xF0 | c >> 18);
		out[1] = (char)(0x80 | (c >> 12 & 0x3F));
		out[2] = (char)(0x80 | (c >> 6 & 0x3F));
		out[3] = (char)(0x80 | (c & 0x3F));
		*len = 4;
	}
}

bool text_decode(struct span a, struct buf *out)
{
	if (span_is_utf8(a))
		return buf_add(out, a);
	while (a.len > 0) {
		size_t n;
		char bytes[4];
		size_t len;
		text_put(text_next(a, &n), bytes, &len);
		if (!buf_add(out, span_from(bytes, len)))
			return false;
		a = span_skip(a, n);
	}
	return true;
}

size_t text_units(struct span a)
{
	size_t units = 0;
	while (a.len > 0) {
		size_t n;
		units += text_next(a, &n) >= 0x10000 ? 2 : 1;
		a = span_skip(a, n);
	}
	return units;
}

struct span text_head(struct span a, size_t units, bool *split)
{
	size_t at = 0;
	*split = false;
	while (at < a.len && units > 0) {
		size_t n;
		size_t wide = text_next(span_skip(a, at), &n) >= 0x10000 ? 2 : 1;
		if (wide > units) {
			*split = true;
			break;
		}
		units -= wide;
		at += n;
	}
	return span_head(a, at);
}

struct span text_tail(struct span a, size_t units, bool *split)
{
	size_t at = a.len;
	*split = false;
	while (at > 0 && units > 0) {
		size_t start = at - 1;
		while (start > 0 && ((unsigned char)a.data[start] & 0xC0) == 0x80)
			start--;
		size_t wide = (unsigned char)a.data[start] >= 0xF0 ? 2 : 1;
		if (wide > units) {
			*split = true;
			break;
		}
		units -= wide;
		at = start;
	}
	return span_skip(a, at);
}

// The length of the control sequence at the head of `a`, or 0.
static size_t ansi_length(struct span a)
{
	size_t i = 2;
	if (a.len < 3 || a.data[0] != '\x1b' || a.data[1] != '[')
		return 0;
	while (i < a.len && ((a.data[i] >= '0' && a.data[i] <= '9') || a.data[i] == ';' || a.data[i] == '?'))
		i++;
	while (i < a.len && a.data[i] >= ' ' && a.data[i] <= '/')
		i++;
	return i < a.len && a.data[i] >= '@' && a.data[i] <= '~' ? i + 1 : 0;
}

void text_strip_ansi(struct buf *b)
{
	struct span rest = buf_span(b);
	char *to = rest.len == 0 ? NULL : memchr(b->mem + b->start, '\x1b', rest.len);
	if (to == NULL)
		return;
	rest = span_skip(rest, (size_t)(to - rest.data));
	while (rest.len > 0) {
		size_t n = ansi_length(rest);
		if (n == 0) {
			*to++ = rest.data[0];
			n = 1;
		}
		rest = span_skip(rest, n);
	}
	b->end = (size_t)(to - b->mem);
}

uint16_t *text_utf16(struct span a, size_t *n)
{
	uint16_t *units = mem_alloc((a.len + 1) * sizeof(*units)); // a byte never makes more than one code unit
	*n = 0;
	while (a.len > 0) {
		size_t len;
		uint32_t c = text_next(a, &len);
		if (c >= 0x10000) {
			units[(*n)++] = (uint16_t)(0xD7C0 + (c >> 10));
			units[(*n)++] = (uint16_t)(0xDC00 | (c & 0x3FF));
		} else {
			units[(*n)++] = (uint16_t)c;
		}
		a = span_skip(a, len);
	}
	return units;
}

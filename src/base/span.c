#include "base/span.h"

#include "base/mem.h"

struct span span_trim(struct span a)
{
	while (a.len > 0 && (a.data[0] == ' ' || a.data[0] == '\t'))
		a = span_skip(a, 1);
	while (a.len > 0 && (a.data[a.len - 1] == ' ' || a.data[a.len - 1] == '\t'))
		a.len--;
	return a;
}

bool span_cut(struct span a, char sep, struct span *head, struct span *rest)
{
	const char *at = a.len == 0 ? NULL : memchr(a.data, sep, a.len);
	if (at == NULL) {
		*head = a;
		*rest = span_skip(a, a.len);
		return false;
	}
	size_t n = (size_t)(at - a.data);
	*head = (struct span){a.data, n};
	*rest = (struct span){at + 1, a.len - n - 1};
	return true;
}

struct result span_to_u64(struct span a, uint64_t max, const char *what, uint64_t *out, struct err *e)
{
	uint64_t v = 0;
	bool digits = a.len > 0 && a.len <= 20;
	for (size_t i = 0; digits && i < a.len; i++) {
		unsigned d = (unsigned char)a.data[i] - (unsigned)'0';
		if (d > 9 || v > (UINT64_MAX - d) / 10)
			digits = false;
		else
			v = v * 10 + d;
	}
	if (!digits)
		return err_set(e, ERR_INVALID, "%s: '%.*s' is not a whole number", what, SPAN_FMT(span_head(a, 40)));
	if (v > max)
		return err_set(e, ERR_INVALID, "%s: %llu is over the maximum of %llu", what, (unsigned long long)v,
		               (unsigned long long)max);
	*out = v;
	return OK;
}

char *span_dup(struct span a)
{
	char *s = mem_alloc(a.len + 1);
	if (a.len > 0)
		memcpy(s, a.data, a.len);
	s[a.len] = '\0';
	return s;
}

bool span_eq_secret(struct span a, struct span b)
{
	unsigned diff = a.len != b.len;
	for (size_t i = 0; i < a.len; i++)
		diff |= (unsigned char)a.data[i] ^ (unsigned char)(i < b.len ? b.data[i] : 0);
	return diff == 0;
}

size_t span_utf8_len(struct span a)
{
	const unsigned char *s = (const unsigned char *)a.data;
	if (s[0] < 0x80)
		return 1;
	size_t n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
	if (n == 0 || n > a.len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
	bool surrogate = s[0] == 0xed && s[1] > 0x9f;
	bool too_high = s[0] == 0xf4 && s[1] > 0x8f;
	return overlong || surrogate || too_high ? 0 : n;
}

bool span_is_utf8(struct span a)
{
	while (a.len > 0) {
		size_t n = span_utf8_len(a);
		if (n == 0)
			return false;
		a = span_skip(a, n);
	}
	return true;
}

bool span_is_visible(struct span a)
{
	for (size_t i = 0; i < a.len; i++) {
		if (a.data[i] <= ' ' || a.data[i] > '~')
			return false;
	}
	return true;
}

#include "cli/printable.h"

#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

// The length of the well-formed sequence at the start of `t` and its code point; 0 when it is malformed.
static size_t decode(struct span t, uint32_t *cp)
{
	for (size_t n = 1; n <= 4 && n <= t.len; n++) {
		if (!span_is_utf8(span_head(t, n)))
			continue;
		const unsigned char *s = (const unsigned char *)t.data;
		*cp = n == 1 ? s[0] : s[0] & (0x7fU >> n);
		for (size_t i = 1; i < n; i++)
			*cp = *cp << 6 | (s[i] & 0x3fU);
		return n;
	}
	return 0;
}

static bool misleads(uint32_t cp)
{
	bool control = cp < 0x20 || (cp >= 0x7f && cp < 0xa0);
	bool direction = cp == 0x061c || cp == 0x200e || cp == 0x200f || (cp >= 0x202a && cp <= 0x202e) ||
	                 (cp >= 0x2066 && cp <= 0x2069);
	bool hidden = cp == 0x00ad || cp == 0x200b || cp == 0x2028 || cp == 0x2029 || cp == 0x2060 || cp == 0xfeff ||
	              (cp >= 0xe0000 && cp <= 0xe007f);
	return control || direction || hidden;
}

void printable_add(struct buf *out, struct span text, bool lines)
{
	while (text.len > 0) {
		uint32_t cp = 0;
		size_t n = decode(text, &cp);
		bool added;
		if (n == 0)
			added = buf_printf(out, "<%02x>", (unsigned)(unsigned char)text.data[0]);
		else if (cp == '\n' || cp == '\t')
			added = buf_add(out, lines ? span_head(text, 1) : SPAN_LIT(" "));
		else if (misleads(cp))
			added = buf_printf(out, cp < 0x100 ? "<%02x>" : "<u%04x>", (unsigned)cp);
		else
			added = buf_add(out, span_head(text, n));
		if (!added)
			return;
		text = span_skip(text, n == 0 ? 1 : n);
	}
}

char *printable_line(struct span text, size_t max)
{
	struct buf b;
	buf_init(&b, text.len * 8 + 8);
	printable_add(&b, text, false);
	if (buf_len(&b) > max) {
		size_t cut = b.start + max;
		// Not in the middle of a character.
		while (cut > b.start && ((unsigned char)b.mem[cut] & 0xc0) == 0x80)
			cut--;
		b.end = cut;
		BUG_ON(!buf_add_str(&b, "…"));
	}
	return buf_take(&b, NULL);
}

size_t printable_width(const char *text)
{
	size_t n = 0;
	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

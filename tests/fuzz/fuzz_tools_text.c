// Decoding gives UTF-8 whose length is what was counted, cuts stay within their limits, and no control sequence is left.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_from((const char *)data, size);
	AUTO_BUF struct buf out;
	bool split;
	size_t n;

	buf_init(&out, 3 * size + 1);
	if (!text_decode(in, &out) || !span_is_utf8(buf_span(&out)))
		abort();
	size_t units = text_units(in);
	uint16_t *utf16 = text_utf16(in, &n);
	free(utf16);
	if (n != units || text_units(buf_span(&out)) != units)
		abort();
	struct span head = text_head(buf_span(&out), units / 2, &split), tail = text_tail(buf_span(&out), units / 3, &split);
	if (text_units(head) > units / 2 || text_units(tail) > units / 3 || !span_is_utf8(head) || !span_is_utf8(tail))
		abort();
	size_t before = buf_len(&out);
	text_strip_ansi(&out);
	if (buf_len(&out) > before)
		abort();
	return 0;
}

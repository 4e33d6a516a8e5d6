// Queries and path segments: what decodes is UTF-8 without NUL, and a segment holds no '/'.
#include <stddef.h>
#include <stdint.h>

#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct span s)
{
	BUG_ON(!span_is_utf8(s) || (s.len > 0 && memchr(s.data, '\0', s.len) != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = {(const char *)data, size};
	struct err e;
	AUTO_BUF struct buf name, value;
	buf_init(&name, 64);
	buf_init(&value, 4096);
	if (!failed(http1_decode_segment(rest, &value, &e))) {
		check_text(buf_span(&value));
		BUG_ON(buf_len(&value) > 0 && memchr(buf_span(&value).data, '/', buf_len(&value)) != NULL);
	}
	bool more = true;
	while (more) {
		size_t before = rest.len;
		if (failed(http1_query_next(&rest, &name, &value, &more, &e)))
			return 0;
		BUG_ON(more && rest.len >= before);
		check_text(buf_span(&name));
		check_text(buf_span(&value));
	}
	return 0;
}

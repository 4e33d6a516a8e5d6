// A chunked body comes out the same whether it arrives whole or in pieces, whose size is the input's first byte.
#include <stddef.h>
#include <stdint.h>

#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http1_progress decode(struct span wire, size_t step, struct buf *out, size_t *over)
{
	struct http1_chunks c = {0};
	struct err e;
	AUTO_BUF struct buf in;
	buf_init(&in, 1 << 20);
	enum http1_progress p = HTTP1_MORE;
	while (p == HTTP1_MORE && wire.len > 0) {
		BUG_ON(!buf_add(&in, span_head(wire, step)));
		wire = span_skip(wire, step);
		p = http1_chunks_decode(&c, &in, out, &e);
	}
	*over = buf_len(&in) + wire.len;
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > 1 << 20)
		return 0;
	struct span wire = {(const char *)data + 1, size - 1};
	AUTO_BUF struct buf whole, pieces;
	buf_init(&whole, 1000);
	buf_init(&pieces, 1000);
	size_t over_whole, over_pieces;
	enum http1_progress p = decode(wire, size, &whole, &over_whole);
	BUG_ON(decode(wire, 1 + data[0] % 16, &pieces, &over_pieces) != p);
	BUG_ON(p == HTTP1_DONE && (over_whole != over_pieces || !span_eq(buf_span(&whole), buf_span(&pieces))));
	return 0;
}

// An event stream gives the same events whether it arrives whole or in pieces, whose size is the input's first byte.
#include <stddef.h>
#include <stdint.h>

#include "net/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool collect(void *arg, struct span name, struct span data)
{
	uint32_t lengths[2] = {(uint32_t)name.len, (uint32_t)data.len};
	struct buf *out = arg;
	BUG_ON(name.len > 200 || data.len > 200);
	return buf_add(out, span_from((const char *)lengths, sizeof(lengths))) && buf_add(out, name) && buf_add(out, data);
}

static struct result decode(struct span wire, size_t step, struct buf *out)
{
	struct sse_decoder d;
	struct err e;
	struct result r = OK;
	sse_decoder_init(&d, 200);
	for (; wire.len > 0 && !failed(r); wire = span_skip(wire, step))
		r = sse_decoder_feed(&d, span_head(wire, step), collect, out, &e);
	sse_decoder_fini(&d);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct span wire = {(const char *)data + 1, size - 1};
	AUTO_BUF struct buf whole, pieces;
	buf_init(&whole, 8 << 20);
	buf_init(&pieces, 8 << 20);
	struct result r = decode(wire, size, &whole);
	BUG_ON(failed(decode(wire, 1 + data[0] % 16, &pieces)) != failed(r));
	BUG_ON(!span_eq(buf_span(&whole), buf_span(&pieces)));
	return 0;
}

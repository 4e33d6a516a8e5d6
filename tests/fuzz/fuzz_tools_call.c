// A request that is decoded is one that could have been encoded.
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "tools/js.h"
#include "tools/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_from((const char *)data, size);
	struct tools_request r;
	struct err e = {0};
	AUTO_JSON json_t *json = NULL;
	AUTO_BUF struct buf out;

	buf_init(&out, (size_t)1 << 26);
	if (failed(wire_request_decode(text, &r, &json, &e))) {
		if (e.msg[0] == '\0')
			abort();
	} else if (failed(wire_request_encode(&r, &out, &e))) {
		abort();
	}
	// The same bytes as a call's input, in every way that inputs are looked at.
	AUTO_JSON json_t *input = js_parse(text);
	if (input != NULL && size < 65536) {
		js_string(input, &out);
		js_quote(input, &out);
		js_received(input, &out);
		(void)js_truthy(input);
		(void)js_number(input);
	}
	return 0;
}

// Whatever a sandbox sends as a reply's header and bulk data, the worker gets a checked reply or an error. The input is a
// header up to the first NUL, then the data.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/tools.h"
#include "tools/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_from((const char *)data, size), header, bulk;
	struct tools_reply r;
	struct err e = {0};
	int fd = -1;

	bool has_bulk = span_cut(all, '\0', &header, &bulk);
	if (has_bulk && failed(wire_bulk_make("fuzz", bulk, &fd, &e)))
		abort();
	tools_reply_init(&r);
	if (failed(tools_client_decode(header, fd, &r, &e))) {
		if (e.msg[0] == '\0')
			abort();
	} else if (!wire_id_valid(span_of(r.id)) || !span_is_utf8(buf_span(&r.text)) ||
	           (r.kind == TOOLS_RESULT && buf_len(&r.text) == 0)) {
		abort();
	}
	tools_reply_fini(&r);
	if (fd >= 0)
		close(fd);
	return 0;
}

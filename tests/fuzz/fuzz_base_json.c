// JSON that parses says the same when written and read again, and its canonical form is its own canonical form.
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_canonical(const json_t *j)
{
	AUTO_BUF struct buf once, twice;
	struct err e;
	buf_init(&once, 1 << 20);
	buf_init(&twice, 1 << 20);
	if (failed(json_canonical(j, &once, &e)))
		return;
	json_t *AUTO_JSON back = NULL;
	BUG_ON(failed(json_parse(buf_span(&once), "canonical", &back, &e)));
	BUG_ON(!json_equal(j, back));
	BUG_ON(failed(json_canonical(back, &twice, &e)));
	BUG_ON(!span_eq(buf_span(&once), buf_span(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {(const char *)data, size};
	struct err e;
	json_t *AUTO_JSON lossy = json_string_lossy(in);
	BUG_ON(!json_is_string(lossy) || !span_is_utf8(json_span(lossy)));
	json_t *AUTO_JSON j = NULL;
	if (failed(json_parse(in, "input", &j, &e)))
		return 0;
	size_t len;
	AUTO_FREE char *text = json_text(j, &len);
	json_t *AUTO_JSON back = NULL;
	BUG_ON(failed(json_parse(span_from(text, len), "output", &back, &e)));
	BUG_ON(!json_equal(j, back));
	check_canonical(j);
	return 0;
}

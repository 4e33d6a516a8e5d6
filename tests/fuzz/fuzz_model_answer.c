// A model's stream, in pieces of a size that the first byte says. Whatever comes, at most one whole answer is taken out of it.
#include <stddef.h>
#include <stdint.h>

#include "model/model_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_block(void *arg, size_t index, struct span type)
{
	(void)type;
	BUG_ON(index != (*(size_t *)arg)++);
}

static void on_text(void *arg, size_t index, struct span text)
{
	BUG_ON(index + 1 != *(size_t *)arg || !span_is_utf8(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	size_t piece = data[0] == 0 ? size : data[0], blocks = 0;
	struct model_decoder_calls calls = {.on_block = on_block, .on_text = on_text, .arg = &blocks};
	struct model_decoder *d = model_decoder_new(&calls);
	struct span rest = {(const char *)data + 1, size - 1};
	struct model_failure f;
	bool ok = true;
	for (; ok && rest.len > 0; rest = span_skip(rest, piece))
		ok = model_decoder_feed(d, span_head(rest, piece), &f);
	struct model_answer a;
	if (ok && model_decoder_end(d, &a, &f)) {
		BUG_ON(a.stop_reason == NULL || json_array_size(a.content) != blocks);
		model_answer_fini(&a);
	}
	model_decoder_free(d);
	return 0;
}

// A bundle of entries out of a hostile copy of a log, as verify and show read it.
#include <stdint.h>

#include "audit/chain.h"
#include "audit/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_from((const char *)data, size), bytes;
	struct findings found = {0};
	struct chain chain;
	struct entry e;
	struct err why;
	chain_init(&chain);
	if (!failed(entry_read(rest, &e, &why)))
		entry_fini(&e);
	for (uint64_t i = 0; !failed(tile_next_entry(&rest, &bytes, NULL)); i++) {
		if (failed(entry_read(bytes, &e, &why)))
			BUG_ON(why.kind != ERR_CORRUPT);
		else
			entry_fini(&e);
		chain_add(&chain, i, bytes, (bytes.len & 7) == 7, &found);
	}
	chain_sort_open(&chain);
	findings_sort(&found);
	findings_fini(&found);
	chain_fini(&chain);
	return 0;
}

// A journal's segment as it may lie on a disk: reading ends, within the segment.
#include <stdint.h>

#include "audit/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The header's checksum stops blind changes: records are read under a good header too.
static void read_records(struct span segment, const struct journal_header *h)
{
	struct journal_reader r;
	struct span entry;
	struct hash leaf;
	bool torn;
	journal_reader_init(&r, segment, h);
	while (journal_reader_next(&r, &entry, &leaf, &torn))
		BUG_ON(entry.data < segment.data || entry.data + entry.len > segment.data + segment.len || entry.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span segment = span_from((const char *)data, size);
	struct journal_header h = {.generation = 1, .salt = {{1, 7, 7}}};
	read_records(segment, &h);
	if (journal_header_read(segment, &h))
		read_records(segment, &h);
	return 0;
}

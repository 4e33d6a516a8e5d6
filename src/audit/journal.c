#include "audit/journal.h"

#include <endian.h>

static const unsigned char magic[8] = {'S', 'P', 'j', 'r', 'n', 'l', '1', '\n'};

static void put64(unsigned char *to, uint64_t v)
{
	v = htobe64(v);
	memcpy(to, &v, 8);
}

static uint64_t get64(const void *from)
{
	uint64_t v;
	memcpy(&v, from, 8);
	return be64toh(v);
}

// magic 8 | generation 8 | first 8 | salt 16 | SHA-256 of what stands before, 32
void journal_header_write(const struct journal_header *h, unsigned char out[JOURNAL_HEADER])
{
	memset(out, 0, JOURNAL_HEADER);
	memcpy(out, magic, 8);
	put64(out + 8, h->generation);
	put64(out + 16, h->first);
	memcpy(out + 24, h->salt.b, 16);
	struct hash sum = hash_sha256(span_from((const char *)out, 40));
	memcpy(out + 40, sum.b, HASH_LEN);
}

bool journal_header_read(struct span segment, struct journal_header *out)
{
	if (segment.len < JOURNAL_HEADER || memcmp(segment.data, magic, 8) != 0)
		return false;
	struct hash sum = hash_sha256(span_head(segment, 40));
	if (memcmp(segment.data + 40, sum.b, HASH_LEN) != 0)
		return false;
	out->generation = get64(segment.data + 8);
	out->first = get64(segment.data + 16);
	memcpy(out->salt.b, segment.data + 24, 16);
	return true;
}

static struct journal_check next_check(const struct journal_check *before, uint64_t index, const struct hash *leaf)
{
	unsigned char text[16 + 8 + HASH_LEN];
	memcpy(text, before->b, 16);
	put64(text + 16, index);
	memcpy(text + 24, leaf->b, HASH_LEN);
	struct hash h = hash_sha256(span_from((const char *)text, sizeof(text)));
	struct journal_check c;
	memcpy(c.b, h.b, sizeof(c.b));
	return c;
}

bool journal_record_write(struct buf *out, struct journal_check *chain, uint64_t index, struct span entry,
                          const struct hash *leaf)
{
	unsigned char h[JOURNAL_RECORD_HEADER] = {0};
	if (buf_reserve(out, sizeof(h) + entry.len) == NULL)
		return false;
	*chain = next_check(chain, index, leaf);
	put64(h, (uint64_t)entry.len << 32);
	put64(h + 8, index);
	memcpy(h + 16, chain->b, 16);
	return buf_add(out, span_from((const char *)h, sizeof(h))) && buf_add(out, entry);
}

void journal_reader_init(struct journal_reader *r, struct span segment, const struct journal_header *h)
{
	*r = (struct journal_reader){span_skip(segment, JOURNAL_HEADER), h->salt, h->first};
}

bool journal_reader_next(struct journal_reader *r, struct span *entry, struct hash *leaf, bool *torn)
{
	*torn = false;
	if (r->rest.len < JOURNAL_RECORD_HEADER)
		return false;
	uint64_t lengths = get64(r->rest.data);
	size_t len = lengths >> 32;
	if (get64(r->rest.data + 8) != r->index || len == 0 || (lengths & 0xffffffff) != 0)
		return false;
	*torn = true; // the right number stands there: this record was begun
	if (len > r->rest.len - JOURNAL_RECORD_HEADER)
		return false;
	*entry = span_from(r->rest.data + JOURNAL_RECORD_HEADER, len);
	*leaf = hash_leaf(*entry);
	struct journal_check c = next_check(&r->chain, r->index, leaf);
	if (memcmp(c.b, r->rest.data + 16, sizeof(c.b)) != 0)
		return false;
	*torn = false;
	r->chain = c;
	r->index++;
	r->rest = span_skip(r->rest, JOURNAL_RECORD_HEADER + len);
	return true;
}

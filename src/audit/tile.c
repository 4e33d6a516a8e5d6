#include "audit/tile.h"

#include <inttypes.h>
#include <stdio.h>

// A full tile's path, without the ".p/W" of a partial one.
static int base_path(const struct tile *t, char out[TILE_PATH_MAX])
{
	char level[8];
	unsigned groups[7];
	int n = 0;
	uint64_t rest = t->index;
	snprintf(level, sizeof(level), t->level == TILE_ENTRIES ? "entries" : "%d", t->level);
	do {
		groups[n++] = (unsigned)(rest % 1000);
		rest /= 1000;
	} while (rest > 0);
	int at = snprintf(out, TILE_PATH_MAX, "tile/%s", level);
	while (n-- > 0)
		at += snprintf(out + at, TILE_PATH_MAX - (size_t)at, n > 0 ? "/x%03u" : "/%03u", groups[n]);
	return at;
}

void tile_path(const struct tile *t, char out[TILE_PATH_MAX])
{
	BUG_ON(t->width < 1 || t->width > TILE_WIDTH || t->level < TILE_ENTRIES || t->level >= TILE_LEVELS);
	int at = base_path(t, out);
	if (t->width < TILE_WIDTH)
		snprintf(out + at, TILE_PATH_MAX - (size_t)at, ".p/%u", t->width);
}

void tile_partial_dir(const struct tile *t, char out[TILE_PATH_MAX])
{
	int at = base_path(t, out);
	snprintf(out + at, TILE_PATH_MAX - (size_t)at, ".p");
}

// How many hashes a level has.
static uint64_t hashes_at(uint64_t size, int level)
{
	return level == TILE_ENTRIES ? size : size >> (8 * level);
}

uint64_t tile_full(uint64_t size, int level)
{
	return hashes_at(size, level) / TILE_WIDTH;
}

unsigned tile_partial(uint64_t size, int level)
{
	return (unsigned)(hashes_at(size, level) % TILE_WIDTH);
}

struct hash tile_subtree(const struct hash *hashes, unsigned height)
{
	BUG_ON(height > 8);
	struct hash h[TILE_WIDTH];
	size_t n = (size_t)1 << height;
	memcpy(h, hashes, n * sizeof(*h));
	for (; n > 1; n /= 2) {
		for (size_t i = 0; i < n / 2; i++)
			h[i] = hash_node(&h[2 * i], &h[2 * i + 1]);
	}
	return h[0];
}

struct result tile_next_entry(struct span *bundle, struct span *entry, struct err *e)
{
	if (bundle->len < 2)
		return err_set(e, ERR_CORRUPT, "the bundle ends early");
	size_t n = (size_t)(unsigned char)bundle->data[0] << 8 | (unsigned char)bundle->data[1];
	if (bundle->len - 2 < n)
		return err_set(e, ERR_CORRUPT, "the bundle ends inside an entry");
	*entry = span_from(bundle->data + 2, n);
	*bundle = span_skip(*bundle, n + 2);
	return OK;
}

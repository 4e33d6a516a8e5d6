// Tiles and entry bundles (C2SP tlog-tiles v0.1.0): their names, their widths, and the entries in a bundle.
#ifndef SALLYPORT_AUDIT_TILE_H
#define SALLYPORT_AUDIT_TILE_H

#include <stdint.h>

#include "audit/hash.h"

#define TILE_WIDTH 256
#define TILE_ENTRIES (-1) // the level of entry bundles
#define TILE_LEVELS 8     // enough for 2^64 entries
#define TILE_ENTRY_MAX 65535
#define TILE_BUNDLE_MAX ((size_t)TILE_WIDTH * (TILE_ENTRY_MAX + 2))
#define TILE_PATH_MAX 64

struct tile {
	int level;      // 0 to 7, or TILE_ENTRIES
	uint64_t index; // N in the path
	unsigned width; // 1 to TILE_WIDTH; less is a partial tile
};

// The path below the log's directory: "tile/0/x001/x234/067.p/17", "tile/entries/000".
void tile_path(const struct tile *t, char out[TILE_PATH_MAX]);
// The directory that holds the partial tiles of `t`: "tile/0/273.p".
void tile_partial_dir(const struct tile *t, char out[TILE_PATH_MAX]);

// How many full tiles a level has in a log of `size` entries, and how wide the partial one is that follows them (0: none).
// Bundles are counted like level 0.
uint64_t tile_full(uint64_t size, int level);
unsigned tile_partial(uint64_t size, int level);

// The root over 2^height hashes.
struct hash tile_subtree(const struct hash *hashes, unsigned height);

// Takes the next entry from what is left of a bundle. ERR_CORRUPT when it is cut short.
MUST_USE struct result tile_next_entry(struct span *bundle, struct span *entry, struct err *e);

#endif

// A map from identifiers (any bytes, each within somebody's own space of names) to numbers, of which it keeps 128 bits of a
// salted hash and not the text.
//
// The salt is random for each map, so that nobody can choose identifiers that fall together.
#ifndef SALLYPORT_AUDIT_IDMAP_H
#define SALLYPORT_AUDIT_IDMAP_H

#include <stdint.h>

#include "base/span.h"

struct idmap_key {
	uint64_t a, b; // never both zero
};

struct idmap_slot {
	struct idmap_key key; // both zero: empty
	uint64_t value;
};

struct idmap {
	unsigned char salt[16];
	struct idmap_slot *slots;
	size_t cap; // a power of two
	size_t n;
};

void idmap_init(struct idmap *m);
void idmap_fini(struct idmap *m);

struct idmap_key idmap_key(const struct idmap *m, struct span space, struct span id);
// NULL when it is not there. Valid until the next put or remove.
uint64_t *idmap_find(const struct idmap *m, struct idmap_key key);
void idmap_put(struct idmap *m, struct idmap_key key, uint64_t value); // replaces
bool idmap_remove(struct idmap *m, struct idmap_key key);

#endif

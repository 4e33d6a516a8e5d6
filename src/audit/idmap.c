#include "audit/idmap.h"

#include "audit/hash.h"
#include "base/mem.h"
#include "base/random.h"

void idmap_init(struct idmap *m)
{
	*m = (struct idmap){.cap = 64};
	random_bytes(m->salt, sizeof(m->salt));
	m->slots = mem_zero(m->cap * sizeof(*m->slots));
}

void idmap_fini(struct idmap *m)
{
	free(m->slots);
	*m = (struct idmap){0};
}

struct idmap_key idmap_key(const struct idmap *m, struct span space, struct span id)
{
	struct hash outer = hash_sha256(space), inner = hash_sha256(id);
	char salted[sizeof(m->salt) + 2 * HASH_LEN];
	memcpy(salted, m->salt, sizeof(m->salt));
	memcpy(salted + sizeof(m->salt), outer.b, HASH_LEN);
	memcpy(salted + sizeof(m->salt) + HASH_LEN, inner.b, HASH_LEN);
	struct hash h = hash_sha256(span_from(salted, sizeof(salted)));
	struct idmap_key k;
	memcpy(&k.a, h.b, 8);
	memcpy(&k.b, h.b + 8, 8);
	k.b |= 1;
	return k;
}

static bool empty(const struct idmap_slot *s)
{
	return s->key.a == 0 && s->key.b == 0;
}

// Where the key stands, or the empty slot where it would.
static size_t place_of(const struct idmap *m, struct idmap_key key)
{
	size_t i = key.a & (m->cap - 1);
	while (!empty(&m->slots[i]) && (m->slots[i].key.a != key.a || m->slots[i].key.b != key.b))
		i = (i + 1) & (m->cap - 1);
	return i;
}

uint64_t *idmap_find(const struct idmap *m, struct idmap_key key)
{
	struct idmap_slot *s = &m->slots[place_of(m, key)];
	return empty(s) ? NULL : &s->value;
}

static void grow(struct idmap *m)
{
	struct idmap old = *m;
	m->cap *= 2;
	m->slots = mem_zero(m->cap * sizeof(*m->slots));
	for (size_t i = 0; i < old.cap; i++) {
		if (!empty(&old.slots[i]))
			m->slots[place_of(m, old.slots[i].key)] = old.slots[i];
	}
	free(old.slots);
}

void idmap_put(struct idmap *m, struct idmap_key key, uint64_t value)
{
	if (m->n * 2 >= m->cap)
		grow(m);
	struct idmap_slot *s = &m->slots[place_of(m, key)];
	m->n += empty(s);
	*s = (struct idmap_slot){key, value};
}

bool idmap_remove(struct idmap *m, struct idmap_key key)
{
	size_t hole = place_of(m, key), mask = m->cap - 1;
	if (empty(&m->slots[hole]))
		return false;
	// Moves later slots of the same run back, so that no search stops early at the hole.
	for (size_t i = (hole + 1) & mask; !empty(&m->slots[i]); i = (i + 1) & mask) {
		size_t home = m->slots[i].key.a & mask;
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct idmap_slot){0};
	m->n--;
	return true;
}

#include "recorder/batch.h"

#include "audit/entry.h"
#include "base/mem.h"

struct batch *batch_new(uint64_t first, const struct writers *before)
{
	struct batch *b = NEW(struct batch);
	b->first = first;
	b->before = *before;
	buf_init(&b->bytes, BATCH_BYTES_MAX + ENTRY_MAX);
	return b;
}

void batch_free(struct batch **b)
{
	if (*b == NULL)
		return;
	if ((*b)->keys != NULL)
		mem_wipe((*b)->keys, (*b)->n_keys * sizeof(*(*b)->keys));
	free((*b)->keys);
	free((*b)->waiters);
	free((*b)->entries);
	free((*b)->lengths);
	buf_fini(&(*b)->bytes);
	free(*b);
	*b = NULL;
}

bool batch_full(const struct batch *b)
{
	return b->n >= BATCH_ENTRIES_MAX || b->n_waiters >= BATCH_WAITERS_MAX || buf_len(&b->bytes) >= BATCH_BYTES_MAX;
}

// Room for one more, growing by doubling.
static void *room(void *list, size_t n, size_t size)
{
	bool power = (n & (n - 1)) == 0;
	return power ? mem_grow(list, n == 0 ? 1 : 2 * n, size) : list;
}

void batch_add_waiter(struct batch *b, struct caller *caller, uint64_t id, uint64_t index)
{
	b->waiters = room(b->waiters, b->n_waiters, sizeof(*b->waiters));
	b->waiters[b->n_waiters++] = (struct batch_waiter){caller, id, index};
}

void batch_add_key(struct batch *b, const struct sidecar_key *k)
{
	for (size_t i = 0; i < b->n_keys; i++) {
		if (strcmp(b->keys[i].session, k->session) == 0)
			return;
	}
	b->keys = room(b->keys, b->n_keys, sizeof(*b->keys));
	b->keys[b->n_keys++] = *k;
}

void batch_added(struct batch *b, size_t len)
{
	b->lengths = room(b->lengths, b->n, sizeof(*b->lengths));
	b->lengths[b->n++] = len;
}

void batch_seal(struct batch *b, const struct writers *after)
{
	struct span rest = buf_span(&b->bytes);
	b->after = *after;
	b->entries = mem_zero((b->n == 0 ? 1 : b->n) * sizeof(*b->entries));
	for (size_t i = 0; i < b->n; i++) {
		b->entries[i].bytes = span_head(rest, b->lengths[i]);
		rest = span_skip(rest, b->lengths[i]);
	}
}

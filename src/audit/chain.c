#include "audit/chain.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define CHAIN_WRITERS_MAX 4096 // a log of ours has far fewer; a hostile one must not make every entry slow

void chain_init(struct chain *c)
{
	*c = (struct chain){0};
	idmap_init(&c->open_map);
}

static void free_open(struct chain_open *o)
{
	free(o->uid);
	free(o->operation);
	free(o->object);
	free(o->session);
}

void chain_fini(struct chain *c)
{
	for (size_t i = 0; i < c->n_writers; i++)
		free(c->writers[i].name);
	for (size_t i = 0; i < c->n_open; i++)
		free_open(&c->open[i]);
	free(c->writers);
	free(c->open);
	idmap_fini(&c->open_map);
	*c = (struct chain){0};
}

static struct chain_writer *writer_of(struct chain *c, struct span name)
{
	for (size_t i = 0; i < c->n_writers; i++) {
		if (span_is(name, c->writers[i].name))
			return &c->writers[i];
	}
	if (c->n_writers == CHAIN_WRITERS_MAX)
		return NULL;
	c->writers = mem_grow(c->writers, c->n_writers + 1, sizeof(*c->writers));
	c->writers[c->n_writers] = (struct chain_writer){.name = span_dup(name)};
	return &c->writers[c->n_writers++];
}

static void check_writer(struct chain *c, uint64_t index, const struct entry *entry, struct span bytes, bool doubtful,
                         struct findings *f)
{
	struct chain_writer *w = writer_of(c, entry->writer);
	if (w == NULL) {
		findings_add(f, index, NULL, "more than %d writers", CHAIN_WRITERS_MAX);
		return;
	}
	bool quiet = doubtful || w->last_doubtful;
	if (entry->seq != w->seq + 1 && !quiet)
		findings_add(f, index, NULL,
		             "writer %s: number %" PRIu64 " follows %" PRIu64 ": entries are missing or out of order",
		             LOG_Q(entry->writer), entry->seq, w->seq);
	else if ((entry->has_prev != (w->seq > 0) || (entry->has_prev && !hash_eq(&entry->prev, &w->last))) && !quiet)
		findings_add(f, index, NULL, "writer %s: its previous entry is not the one that this entry's prev names",
		             LOG_Q(entry->writer));
	w->seq = entry->seq;
	w->last = hash_sha256(bytes);
	w->last_doubtful = doubtful;
}

static void add_open(struct chain *c, uint64_t index, const struct entry *entry)
{
	struct idmap_key key = idmap_key(&c->open_map, entry->writer, entry->uid);
	if (idmap_find(&c->open_map, key) != NULL)
		return;
	if ((c->n_open & (c->n_open - 1)) == 0)
		c->open = mem_grow(c->open, c->n_open == 0 ? 1 : 2 * c->n_open, sizeof(*c->open));
	c->open[c->n_open] = (struct chain_open){key,
	                                         index,
	                                         entry->time_ms,
	                                         span_dup(entry->uid),
	                                         span_dup(entry->operation),
	                                         span_dup(entry->object),
	                                         span_dup(entry->session)};
	idmap_put(&c->open_map, key, c->n_open++);
}

// False when it was not open. Only who began an act can say how it ended: uids count within their writer.
static bool close_open(struct chain *c, struct span writer, struct span uid)
{
	struct idmap_key key = idmap_key(&c->open_map, writer, uid);
	const uint64_t *found = idmap_find(&c->open_map, key);
	if (found == NULL)
		return false;
	size_t at = *found;
	idmap_remove(&c->open_map, key);
	free_open(&c->open[at]);
	c->open[at] = c->open[--c->n_open];
	if (at < c->n_open)
		idmap_put(&c->open_map, c->open[at].key, at);
	return true;
}

static void check_pair(struct chain *c, uint64_t index, const struct entry *entry, struct findings *f)
{
	// What was refused never ran: it has no outcome.
	if (span_is(entry->phase, "intent") && !entry->denied)
		add_open(c, index, entry);
	if (span_is(entry->phase, "outcome") && entry->pair.len > 0 && !close_open(c, entry->writer, entry->pair) && !c->doubts)
		findings_add(f, index, NULL, "an outcome, but its intent %s is not open before it", LOG_Q(entry->pair));
}

static void check_canonical(uint64_t index, const struct entry *entry, struct span bytes, struct findings *f)
{
	AUTO_BUF struct buf again;
	buf_init(&again, ENTRY_MAX);
	if (failed(json_canonical(entry->json, &again, NULL)) || !span_eq(buf_span(&again), bytes))
		findings_add(f, index, NULL, "the entry is not in canonical form (RFC 8785)");
}

void chain_add(struct chain *c, uint64_t index, struct span bytes, bool doubtful, struct findings *f)
{
	struct entry entry;
	struct err e;
	c->doubts = c->doubts || doubtful;
	if (failed(entry_read(bytes, &entry, &e))) {
		if (!doubtful)
			findings_add(f, index, NULL, "not an entry of Sallyport's: %s", e.msg);
		// Whose it was can't be told, so nobody's next one can be held against it.
		for (size_t i = 0; i < c->n_writers; i++)
			c->writers[i].last_doubtful = true;
		return;
	}
	check_writer(c, index, &entry, bytes, doubtful, f);
	check_pair(c, index, &entry, f);
	if (!doubtful)
		check_canonical(index, &entry, bytes, f);
	if (entry.time_ms > c->last_ms)
		c->last_ms = entry.time_ms;
	entry_fini(&entry);
}

static int by_index(const void *a, const void *b)
{
	const struct chain_open *x = a, *y = b;
	return x->index < y->index ? -1 : x->index > y->index;
}

void chain_sort_open(struct chain *c)
{
	if (c->n_open > 1)
		qsort(c->open, c->n_open, sizeof(*c->open), by_index);
}

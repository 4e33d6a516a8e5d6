#include "audit/timeline.h"

#include <inttypes.h>

#include "audit/idmap.h"
#include "audit/logdir.h"
#include "base/mem.h"

struct reading {
	struct timeline *t;
	struct span session;
	struct idmap by_uid; // of intents: their row, counted from the first ever
};

static void fini_row(struct timeline_row *row)
{
	entry_fini(&row->entry);
	if (row->has_outcome)
		entry_fini(&row->outcome);
}

// Drops the older half.
static void shorten(struct timeline *t)
{
	size_t half = t->n / 2;
	for (size_t i = 0; i < half; i++)
		fini_row(&t->rows[i]);
	memmove(t->rows, t->rows + half, (t->n - half) * sizeof(*t->rows));
	t->n -= half;
	t->left_out += half;
}

static struct timeline_row *intent_of(struct reading *r, const struct entry *outcome)
{
	if (!span_is(outcome->phase, "outcome") || outcome->pair.len == 0)
		return NULL;
	const uint64_t *at = idmap_find(&r->by_uid, idmap_key(&r->by_uid, outcome->writer, outcome->pair));
	if (at == NULL || *at < r->t->left_out)
		return NULL;
	struct timeline_row *row = &r->t->rows[*at - r->t->left_out];
	return row->has_outcome ? NULL : row;
}

static void add_row(struct reading *r, uint64_t index, const struct entry *entry)
{
	struct timeline *t = r->t;
	if (t->n == TIMELINE_MAX)
		shorten(t);
	if (t->rows == NULL)
		t->rows = mem_alloc(TIMELINE_MAX * sizeof(*t->rows));
	if (span_is(entry->phase, "intent"))
		idmap_put(&r->by_uid, idmap_key(&r->by_uid, entry->writer, entry->uid), t->left_out + t->n);
	t->rows[t->n++] = (struct timeline_row){.index = index, .entry = *entry};
}

static struct result each(void *arg, uint64_t index, struct span bytes, struct err *e)
{
	struct reading *r = arg;
	struct entry entry;
	// Most entries of a large log are other sessions': a look at the bytes spares parsing them.
	if (r->session.len > 0 && memmem(bytes.data, bytes.len, r->session.data, r->session.len) == NULL)
		return OK;
	if (failed(entry_read(bytes, &entry, e)))
		return err_prefix(e, "entry %" PRIu64, index);
	if (r->session.len > 0 && !span_eq(entry.session, r->session)) {
		entry_fini(&entry);
		return OK;
	}
	struct timeline_row *intent = intent_of(r, &entry);
	if (intent == NULL) {
		add_row(r, index, &entry);
		return OK;
	}
	intent->has_outcome = true;
	intent->outcome_index = index;
	intent->outcome = entry;
	return OK;
}

static struct result each_in_journal(void *arg, uint64_t index, struct span bytes, const struct hash *leaf, struct err *e)
{
	(void)leaf;
	return each(arg, index, bytes, e);
}

struct result timeline_signed_size(const char *dir, uint64_t *size, struct err *e)
{
	struct note_verifier key;
	struct checkpoint c = {0};
	struct err why;
	TRY(logdir_vkey(dir, &key, e));
	if (failed(logdir_checkpoint(dir, &key, &c, &why)) && why.kind != ERR_NOT_FOUND)
		return err_set(e, why.kind, "%s", why.msg);
	*size = c.size;
	return OK;
}

static struct result read_from(const char *dir, uint64_t from, struct reading *r, struct err *e)
{
	struct logdir_tail tail;
	uint64_t size;
	TRY(timeline_signed_size(dir, &size, e));
	r->t->signed_size = size;
	if (from < size)
		TRY(logdir_walk(dir, from, size, each, r, e));
	return logdir_journal(dir, size, each_in_journal, r, &tail, e);
}

struct result timeline_read(const char *dir, uint64_t from, struct span session, struct timeline *out, struct err *e)
{
	struct reading r = {.t = out, .session = session};
	*out = (struct timeline){0};
	idmap_init(&r.by_uid);
	struct result done = read_from(dir, from, &r, e);
	idmap_fini(&r.by_uid);
	return done;
}

void timeline_fini(struct timeline *t)
{
	for (size_t i = 0; i < t->n; i++)
		fini_row(&t->rows[i]);
	free(t->rows);
	*t = (struct timeline){0};
}

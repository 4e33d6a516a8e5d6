#include "audit/verify.h"

#include <inttypes.h>

#include "audit/logdir.h"
#include "base/log.h"
#include "base/mem.h"

#define TRIES 5 // a log that is being written may move on under us

// Where a bundle's entry and its tile's hash disagree. Which of the two was altered, the root tells at the end.
struct disagreement {
	uint64_t index; // the first in its bundle
	unsigned more;  // how many further ones in it
};

struct pass {
	const char *dir;
	const struct checkpoint *kept;
	struct verify_report *r;
	struct tree by_tiles, by_entries;
	struct disagreement *list;
	size_t n;
	uint64_t upper_of; // which level-1 tile `upper` is, or UINT64_MAX
	bool upper_good;
	struct hash upper[TILE_WIDTH];
};

// The finding for a file that is missing or malformed.
static void bad_file(struct pass *p, uint64_t index, const struct tile *t, const struct err *why)
{
	char name[TILE_PATH_MAX];
	tile_path(t, name);
	findings_add(&p->r->findings, index, name, "%s", why->msg);
}

// Splits the bundle into its entries; false with a finding when it does not hold `width` of them.
static bool split_bundle(struct pass *p, const struct tile *t, struct span bundle, struct span entries[TILE_WIDTH])
{
	for (unsigned i = 0; i < t->width; i++) {
		struct err e;
		if (failed(tile_next_entry(&bundle, &entries[i], &e))) {
			bad_file(p, t->index * TILE_WIDTH + i, t, &e);
			return false;
		}
	}
	// A full bundle may stand in for a partial one, with entries that come later.
	if (bundle.len > 0 && t->width == TILE_WIDTH) {
		struct err e;
		err_set(&e, ERR_CORRUPT, "%zu bytes too many in the bundle", bundle.len);
		bad_file(p, t->index * TILE_WIDTH, t, &e);
	}
	return true;
}

static void disagree(struct pass *p, uint64_t index)
{
	struct disagreement *last = p->n == 0 ? NULL : &p->list[p->n - 1];
	if (last != NULL && last->index / TILE_WIDTH == index / TILE_WIDTH) {
		last->more++;
		return;
	}
	if (p->n == FINDINGS_MAX)
		return;
	p->list = mem_grow(p->list, p->n + 1, sizeof(*p->list));
	p->list[p->n++] = (struct disagreement){index, 0};
}

// When as many entries have come as the kept checkpoint says: they must be those.
static void check_kept(struct pass *p)
{
	if (p->kept == NULL || p->by_entries.size != p->kept->size)
		return;
	struct hash entries = tree_root(&p->by_entries), tiles = tree_root(&p->by_tiles);
	if (!hash_eq(&entries, &p->kept->root) && !hash_eq(&tiles, &p->kept->root))
		findings_add(&p->r->findings, FINDINGS_NO_INDEX, "checkpoint",
		             "the first %" PRIu64
		             " entries are not those of the checkpoint that was kept: this is another "
		             "history, signed with the same key; compare it with a backup, and take the key for stolen",
		             p->kept->size);
}

// One bundle against its level-0 tile, and its entries against each other.
static void check_bundle(struct pass *p, uint64_t index, unsigned width, struct hash hashes[TILE_WIDTH])
{
	struct tile bundle_name = {TILE_ENTRIES, index, width}, tile_name = {0, index, width};
	struct span entries[TILE_WIDTH];
	struct hash leaves[TILE_WIDTH];
	AUTO_BUF struct buf bundle;
	struct err e;
	buf_init(&bundle, TILE_BUNDLE_MAX);
	bool have_tile = !failed(logdir_tile(p->dir, 0, index, width, hashes, &e));
	if (!have_tile)
		bad_file(p, index * TILE_WIDTH, &tile_name, &e);
	bool have_bundle = !failed(logdir_bundle(p->dir, index, width, &bundle, &e));
	if (!have_bundle)
		bad_file(p, index * TILE_WIDTH, &bundle_name, &e);
	have_bundle = have_bundle && split_bundle(p, &bundle_name, buf_span(&bundle), entries);
	for (unsigned i = 0; i < width; i++) {
		if (have_bundle)
			leaves[i] = hash_leaf(entries[i]);
		else
			leaves[i] = have_tile ? hashes[i] : (struct hash){{0}};
		if (!have_tile)
			hashes[i] = leaves[i];
		bool differs = !hash_eq(&hashes[i], &leaves[i]);
		if (differs)
			disagree(p, index * TILE_WIDTH + i);
		if (have_bundle)
			chain_add(&p->r->chain, index * TILE_WIDTH + i, entries[i], differs, &p->r->findings);
		tree_push(&p->by_tiles, &hashes[i]);
		tree_push(&p->by_entries, &leaves[i]);
		check_kept(p);
	}
}

// A full tile's root must stand in the tile above it.
static void check_above(struct pass *p, int level, uint64_t index, const struct hash *hashes, uint64_t size)
{
	uint64_t above = index / TILE_WIDTH;
	unsigned width = above < tile_full(size, level + 1) ? TILE_WIDTH : tile_partial(size, level + 1);
	struct tile name = {level + 1, above, width};
	struct err e;
	if (p->upper_of != above) {
		p->upper_of = above;
		p->upper_good = !failed(logdir_tile(p->dir, level + 1, above, width, p->upper, &e));
		if (!p->upper_good)
			bad_file(p, FINDINGS_NO_INDEX, &name, &e);
	}
	struct hash root = tile_subtree(hashes, 8);
	if (!p->upper_good || hash_eq(&root, &p->upper[index % TILE_WIDTH]))
		return;
	char file[TILE_PATH_MAX];
	uint64_t span = 1ULL << (8 * (level + 1));
	tile_path(&name, file);
	findings_add(&p->r->findings, index * span, file,
	             "hash %u of this tile is not the root of the entries %" PRIu64 " to %" PRIu64,
	             (unsigned)(index % TILE_WIDTH), index * span, (index + 1) * span - 1);
}

// So much is wrong that more would not be kept: a signed size is no reason to look for files without end.
static bool enough(const struct pass *p)
{
	return p->r->findings.total > FINDINGS_MAX || p->n == FINDINGS_MAX;
}

static void check_levels(struct pass *p, uint64_t size)
{
	struct hash hashes[TILE_WIDTH];
	for (uint64_t n = 0; n * TILE_WIDTH < size && !enough(p); n++) {
		unsigned width = n < tile_full(size, 0) ? TILE_WIDTH : tile_partial(size, 0);
		check_bundle(p, n, width, hashes);
		if (width == TILE_WIDTH)
			check_above(p, 0, n, hashes, size);
	}
	for (int level = 1; level + 1 < TILE_LEVELS; level++) {
		p->upper_of = UINT64_MAX;
		for (uint64_t n = 0; n < tile_full(size, level) && !enough(p); n++) {
			if (!failed(logdir_tile(p->dir, level, n, TILE_WIDTH, hashes, NULL)))
				check_above(p, level, n, hashes, size);
		}
	}
}

// Says of each disagreement which side was altered, as far as the signed root tells.
static void settle(struct pass *p, bool tiles_signed, bool entries_signed)
{
	for (size_t i = 0; i < p->n; i++) {
		uint64_t index = p->list[i].index;
		struct tile t = {tiles_signed || !entries_signed ? TILE_ENTRIES : 0, index / TILE_WIDTH, 0};
		uint64_t size = p->r->checkpoint.size;
		t.width = t.index < tile_full(size, 0) ? TILE_WIDTH : tile_partial(size, 0);
		char file[TILE_PATH_MAX], more[48] = "";
		tile_path(&t, file);
		if (p->list[i].more > 0)
			snprintf(more, sizeof(more), ", nor are %u after it in this file", p->list[i].more);
		if (tiles_signed)
			findings_add(&p->r->findings, index, file, "this entry is not the one that was signed%s", more);
		else if (entries_signed)
			findings_add(&p->r->findings, index, file,
			             "this entry's hash in the tile is not the one that was signed%s", more);
		else
			findings_add(&p->r->findings, index, file, "this entry and its hash in the tile do not agree%s", more);
	}
}

static void check_tree(struct pass *p)
{
	const struct checkpoint *c = &p->r->checkpoint;
	check_levels(p, c->size);
	struct hash tiles = tree_root(&p->by_tiles), entries = tree_root(&p->by_entries);
	bool tiles_signed = hash_eq(&tiles, &c->root), entries_signed = hash_eq(&entries, &c->root);
	settle(p, tiles_signed, entries_signed);
	if (!tiles_signed && !entries_signed)
		findings_add(&p->r->findings, FINDINGS_NO_INDEX, "checkpoint",
		             "the root that was signed is not that of these %" PRIu64 " entries", c->size);
	if (p->kept != NULL && p->kept->size > c->size)
		findings_add(&p->r->findings, c->size, "checkpoint",
		             "the log has %" PRIu64 " entries, the checkpoint that was kept has %" PRIu64
		             ": it was set back to an older copy; look for the newer one",
		             c->size, p->kept->size);
}

static struct result each_uncovered(void *arg, uint64_t index, struct span entry, const struct hash *leaf, struct err *e)
{
	struct verify_report *r = arg;
	(void)leaf;
	(void)e;
	chain_add(&r->chain, index, entry, false, &r->findings);
	r->uncovered++;
	return OK;
}

static void check_open(struct verify_report *r)
{
	chain_sort_open(&r->chain);
	for (size_t i = 0; i < r->chain.n_open; i++) {
		const struct chain_open *o = &r->chain.open[i];
		if (r->chain.last_ms - o->time_ms > VERIFY_OPEN_MS)
			findings_add(&r->findings, o->index, NULL, "an intent without an outcome for more than %d minutes: %s",
			             VERIFY_OPEN_MS / 60000, LOG_Q(span_of(o->uid)));
	}
}

// *again: the log moved on while it was read, and has to be read anew.
static struct result run_once(const char *dir, const struct note_verifier *key, const struct checkpoint *kept,
                              struct verify_report *r, bool last, bool *again, struct err *e)
{
	struct pass p = {.dir = dir, .kept = kept, .r = r, .upper_of = UINT64_MAX};
	struct logdir_tail tail;
	struct err why;
	r->has_checkpoint = !failed(logdir_checkpoint(dir, key, &r->checkpoint, &why));
	if (!r->has_checkpoint && why.kind != ERR_NOT_FOUND && why.kind != ERR_CORRUPT && why.kind != ERR_INVALID)
		return err_set(e, why.kind, "%s", why.msg);
	if (!r->has_checkpoint && why.kind != ERR_NOT_FOUND) {
		findings_add(&r->findings, FINDINGS_NO_INDEX, "checkpoint", "%s", why.msg);
		return OK; // nothing else can be judged
	}
	tree_init(&p.by_tiles);
	tree_init(&p.by_entries);
	if (r->has_checkpoint)
		check_tree(&p);
	free(p.list);
	r->covered_ms = r->chain.last_ms;
	uint64_t size = r->has_checkpoint ? r->checkpoint.size : 0;
	TRY(logdir_journal(dir, size, each_uncovered, r, &tail, e));
	*again = tail.gap && !last;
	if (tail.gap && last && tail.next == size)
		findings_add(&r->findings, size, "checkpoint",
		             "the journal goes on later than this checkpoint ends: it is older than the log, or entries are "
		             "missing");
	else if (tail.gap && last)
		findings_add(&r->findings, tail.next, "journal",
		             "the journal goes on later, but this entry is not there whole");
	if (!r->has_checkpoint && tail.present)
		findings_add(&r->findings, FINDINGS_NO_INDEX, "checkpoint", "the checkpoint is missing: every log has one");
	if (!r->has_checkpoint && !tail.present)
		return err_set(e, ERR_NOT_FOUND, "%s: neither a checkpoint nor a journal; is this a log's directory?", dir);
	r->journal = tail.present;
	r->torn = tail.torn;
	check_open(r);
	return OK;
}

struct result verify_run(const char *dir, const struct note_verifier *key, const struct checkpoint *kept,
                         struct verify_report *out, struct err *e)
{
	struct result r = OK;
	bool again = true;
	*out = (struct verify_report){0};
	chain_init(&out->chain);
	for (int i = 1; again && !failed(r); i++) {
		again = false;
		verify_fini(out);
		chain_init(&out->chain);
		r = run_once(dir, key, kept, out, i == TRIES, &again, e);
	}
	findings_sort(&out->findings);
	return r;
}

void verify_fini(struct verify_report *r)
{
	chain_fini(&r->chain);
	findings_fini(&r->findings);
	*r = (struct verify_report){0};
}

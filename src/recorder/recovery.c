#include "recorder/recovery.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "audit/logdir.h"
#include "base/mem.h"

struct walk {
	struct recovery *r;
	uint64_t known; // the writers' state covers the entries below
	bool tiles;     // add to the tiler as well
};

static struct result note_entry(struct walk *w, uint64_t index, struct span bytes, struct err *e)
{
	struct entry entry;
	TRY(entry_read(bytes, &entry, e));
	struct result r = index < w->known ? OK : writers_follow(&w->r->writers, &entry, bytes, e);
	seen_add(&w->r->seen, entry.writer, entry.uid, index, seen_fingerprint_of(&entry));
	entry_fini(&entry);
	return r;
}

static struct result each_published(void *arg, uint64_t index, struct span bytes, struct err *e)
{
	return failed(note_entry(arg, index, bytes, e)) ? err_prefix(e, "entry %" PRIu64, index) : OK;
}

static struct result each_in_journal(void *arg, uint64_t index, struct span bytes, const struct hash *leaf, struct err *e)
{
	struct walk *w = arg;
	if (failed(note_entry(w, index, bytes, e)))
		return err_prefix(e, "the journal's entry %" PRIu64, index);
	w->r->from_journal++;
	return tiler_add(w->r->tiler, bytes, leaf, e);
}

// The entries below `size`: as far back as the writers' saved state asks, and as uids are to be remembered.
static struct result walk_published(const char *dir, uint64_t size, struct recovery *r, struct err *e)
{
	struct walk w = {.r = r};
	writers_load(&r->writers, dir, &w.known);
	if (w.known > size) {
		// Saved with a checkpoint that was never seen: not to be trusted.
		w.known = 0;
		r->writers.n = 0;
	}
	uint64_t from = size > RECOVERY_SEEN ? size - RECOVERY_SEEN : 0;
	return logdir_walk(dir, w.known < from ? w.known : from, size, each_published, &w, e);
}

// A new log gets a checkpoint of no entries before its first one is taken. So a log without a checkpoint that holds anything
// has lost it, and is not begun anew over what was signed once.
static struct result begin_log(const char *dir, struct recovery *r, const struct logdir_tail *tail, struct err *e)
{
	AUTO_FREE char *tiles = mem_printf("%s/tile", dir);
	AUTO_FREE char *note = mem_printf("%s/checkpoint", dir);
	struct stat st;
	struct checkpoint c;
	if (stat(note, &st) == 0)
		return OK;
	if (tail->next > 0 || tail->gap || stat(tiles, &st) == 0)
		return err_set(
		        e, ERR_CORRUPT,
		        "%s: the log holds entries but has lost its checkpoint; restore the file, or move the directory aside",
		        dir);
	return tiler_publish(r->tiler, &c, e);
}

static struct result run(const char *dir, struct segments *segments, struct recovery *r, struct err *e)
{
	uint64_t size = tiler_size(r->tiler);
	struct walk w = {.r = r};
	struct logdir_tail tail;
	TRY(walk_published(dir, size, r, e));
	TRY(logdir_journal(dir, size, each_in_journal, &w, &tail, e));
	TRY(begin_log(dir, r, &tail, e));
	if (tail.gap)
		return err_set(e, ERR_CORRUPT,
		               "%s: the journal goes on, but its entry %" PRIu64
		               " is not there whole; `sallyport audit verify` tells more",
		               dir, tail.next);
	r->torn = tail.torn;
	if (r->from_journal > 0) {
		struct checkpoint c;
		TRY(tiler_publish(r->tiler, &c, e));
	}
	return segments_begin(segments, tail.generation + 1, tail.next, e);
}

struct result recovery_run(const char *dir, const struct note_signer *signer, struct segments *segments, struct recovery *out,
                           struct err *e)
{
	*out = (struct recovery){0};
	TRY(tiler_load(dir, signer, &out->tiler, e));
	seen_init(&out->seen);
	if (!failed(run(dir, segments, out, e)))
		return OK;
	seen_fini(&out->seen);
	tiler_free(&out->tiler);
	return FAIL;
}

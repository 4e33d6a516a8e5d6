#include "audit/logdir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/journal.h"
#include "base/file.h"

static struct result path_in(const char *dir, const char *name, char out[PATH_MAX], struct err *e)
{
	if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return err_set(e, ERR_INVALID, "%s: path too long", dir);
	return OK;
}

static struct result read_in(const char *dir, const char *name, struct buf *out, struct err *e)
{
	char path[PATH_MAX];
	TRY(path_in(dir, name, path, e));
	return file_read(path, out, e);
}

struct result logdir_vkey(const char *dir, struct note_verifier *out, struct err *e)
{
	AUTO_BUF struct buf text;
	buf_init(&text, 4096);
	TRY(read_in(dir, "log.vkey", &text, e));
	struct span line, rest;
	span_cut(buf_span(&text), '\n', &line, &rest);
	return failed(note_vkey_parse(line, out, e)) ? err_prefix(e, "%s/log.vkey", dir) : OK;
}

struct result logdir_checkpoint(const char *dir, const struct note_verifier *v, struct checkpoint *out, struct err *e)
{
	AUTO_BUF struct buf note;
	buf_init(&note, NOTE_MAX);
	TRY(read_in(dir, "checkpoint", &note, e));
	return failed(checkpoint_open(buf_span(&note), v, out, e)) ? err_prefix(e, "%s/checkpoint", dir) : OK;
}

// The file of exactly that width, or the full one: a partial tile may be deleted once the full one is there.
static struct result read_tile(const char *dir, const struct tile *t, struct buf *out, struct err *e)
{
	char name[TILE_PATH_MAX];
	tile_path(t, name);
	struct err first;
	if (!failed(read_in(dir, name, out, &first)))
		return OK;
	struct tile full = {t->level, t->index, TILE_WIDTH};
	tile_path(&full, name);
	if (first.kind == ERR_NOT_FOUND && t->width < TILE_WIDTH && !failed(read_in(dir, name, out, NULL)))
		return OK;
	return err_set(e, first.kind == ERR_NOT_FOUND ? ERR_CORRUPT : first.kind, "%s", first.msg);
}

struct result logdir_tile(const char *dir, int level, uint64_t index, unsigned width, struct hash *out, struct err *e)
{
	struct tile t = {level, index, width};
	AUTO_BUF struct buf bytes;
	buf_init(&bytes, TILE_WIDTH * HASH_LEN);
	TRY(read_tile(dir, &t, &bytes, e));
	size_t n = buf_len(&bytes);
	if (n != width * HASH_LEN && n != TILE_WIDTH * HASH_LEN) {
		char name[TILE_PATH_MAX];
		tile_path(&t, name);
		return err_set(e, ERR_CORRUPT, "%s has %zu bytes, not %u", name, n, width * HASH_LEN);
	}
	memcpy(out, bytes.mem + bytes.start, width * HASH_LEN);
	return OK;
}

struct result logdir_bundle(const char *dir, uint64_t index, unsigned width, struct buf *out, struct err *e)
{
	struct tile t = {TILE_ENTRIES, index, width};
	return read_tile(dir, &t, out, e);
}

struct result logdir_walk(const char *dir, uint64_t from, uint64_t to,
                          struct result (*each)(void *arg, uint64_t index, struct span entry, struct err *e), void *arg,
                          struct err *e)
{
	AUTO_BUF struct buf bundle;
	buf_init(&bundle, TILE_BUNDLE_MAX);
	for (uint64_t n = from / TILE_WIDTH; n * TILE_WIDTH < to; n++) {
		uint64_t first = n * TILE_WIDTH;
		unsigned width = to - first < TILE_WIDTH ? (unsigned)(to - first) : TILE_WIDTH;
		TRY(logdir_bundle(dir, n, width, &bundle, e));
		struct span rest = buf_span(&bundle), entry;
		for (unsigned i = 0; i < width; i++) {
			if (failed(tile_next_entry(&rest, &entry, e)))
				return err_prefix(e, "bundle %" PRIu64 ", entry %" PRIu64, n, first + i);
			if (first + i >= from)
				TRY(each(arg, first + i, entry, e));
		}
	}
	return OK;
}

// A segment is read through a window, up to where its records end: most of it is not theirs.
struct segment {
	int fd;     // -1: there is none
	bool ended; // the window holds the file's end
	bool valid; // it has a header
	struct buf window;
	struct journal_header header;
};

#define WINDOW_MIN (JOURNAL_RECORD_HEADER + TILE_ENTRY_MAX) // so much holds any record
#define WINDOW_MAX (4 * (size_t)WINDOW_MIN)

// Reads on until the window holds WINDOW_MIN bytes or the file's rest.
static struct result fill_window(struct segment *s, struct err *e)
{
	while (!s->ended && buf_len(&s->window) < WINDOW_MIN) {
		size_t want = WINDOW_MAX - buf_len(&s->window);
		char *to = buf_reserve(&s->window, want);
		ssize_t n = read(s->fd, to, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "the journal");
		s->ended = n == 0;
		buf_commit(&s->window, (size_t)n);
	}
	return OK;
}

static struct result open_segment(const char *dir, unsigned number, struct segment *s, bool *present, struct err *e)
{
	char name[32], path[PATH_MAX];
	struct stat st;
	*s = (struct segment){.fd = -1};
	buf_init(&s->window, WINDOW_MAX);
	snprintf(name, sizeof(name), "journal/%u", number);
	TRY(path_in(dir, name, path, e));
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (s->fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? OK : err_sys(e, "%s", path);
	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "%s: not a regular file", path);
	*present = true;
	TRY(fill_window(s, e));
	s->valid = journal_header_read(buf_span(&s->window), &s->header);
	return OK;
}

static void close_segment(struct segment *s)
{
	fd_close(&s->fd);
	buf_fini(&s->window);
}

// The next record; what it gives is valid until the next call. False at the end.
static struct result next_record(struct segment *s, struct journal_reader *r, struct span *entry, struct hash *leaf, bool *torn,
                                 bool *more, struct err *e)
{
	if (r->rest.len < WINDOW_MIN && !s->ended) {
		buf_consume(&s->window, buf_len(&s->window) - r->rest.len);
		TRY(fill_window(s, e));
		r->rest = buf_span(&s->window);
	}
	*more = journal_reader_next(r, entry, leaf, torn);
	return OK;
}

// The records of one segment, as far as `until`.
static struct result walk_segment(struct segment *s, uint64_t until,
                                  struct result (*each)(void *arg, uint64_t index, struct span entry, const struct hash *leaf,
                                                        struct err *e),
                                  void *arg, struct logdir_tail *tail, struct err *e)
{
	if (s->header.generation > tail->generation)
		tail->generation = s->header.generation;
	struct journal_reader r;
	struct span entry;
	struct hash leaf;
	bool more;
	journal_reader_init(&r, buf_span(&s->window), &s->header);
	for (;;) {
		TRY(next_record(s, &r, &entry, &leaf, &tail->torn, &more, e));
		uint64_t index = r.index - 1;
		if (!more || index >= until)
			return OK;
		if (index < tail->next)
			continue;
		if (index > tail->next) {
			tail->gap = true;
			return OK;
		}
		TRY(each(arg, index, entry, &leaf, e));
		tail->next++;
	}
}

struct result logdir_journal(const char *dir, uint64_t from,
                             struct result (*each)(void *arg, uint64_t index, struct span entry, const struct hash *leaf,
                                                   struct err *e),
                             void *arg, struct logdir_tail *tail, struct err *e)
{
	struct segment s[JOURNAL_SEGMENTS];
	*tail = (struct logdir_tail){.next = from};
	struct result r = open_segment(dir, 0, &s[0], &tail->present, e);
	struct result r1 = open_segment(dir, 1, &s[1], &tail->present, e);
	bool both = s[0].valid && s[1].valid, swapped = both && s[0].header.generation > s[1].header.generation;
	if (failed(r1))
		r = r1;
	for (unsigned i = 0; i < JOURNAL_SEGMENTS && !failed(r); i++) {
		struct segment *now = &s[swapped ? 1 - i : i], *newer = &s[swapped ? 0 : 1];
		// What the older segment holds from the newer one's beginning on was refused when its write failed.
		uint64_t until = both && now != newer ? newer->header.first : UINT64_MAX;
		if (now->valid)
			r = walk_segment(now, until, each, arg, tail, e);
	}
	close_segment(&s[0]);
	close_segment(&s[1]);
	return r;
}

// A node of the binary tree out of the tile that holds its descendants.
static struct result proof_node(void *arg, unsigned level, uint64_t index, struct hash *out, struct err *e)
{
	const struct logdir_proofs *p = arg;
	int tile_level = (int)(level / 8);
	unsigned height = level % 8;
	uint64_t first = index << height, tile = first / TILE_WIDTH;
	unsigned at = (unsigned)(first % TILE_WIDTH);
	unsigned width = tile < tile_full(p->size, tile_level) ? TILE_WIDTH : tile_partial(p->size, tile_level);
	struct hash hashes[TILE_WIDTH];
	if (at + (1U << height) > width)
		return err_set(e, ERR_INVALID, "no such subtree in a log of %" PRIu64, p->size);
	TRY(logdir_tile(p->dir, tile_level, tile, width, hashes, e));
	*out = tile_subtree(hashes + at, height);
	return OK;
}

struct tree_source logdir_source(struct logdir_proofs *p)
{
	return (struct tree_source){proof_node, p};
}

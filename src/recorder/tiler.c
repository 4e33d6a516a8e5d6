#include "recorder/tiler.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/logdir.h"
#include "base/file.h"
#include "base/mem.h"

#define OPEN_MAX_FILES 64

struct tiler {
	const char *dir;
	const struct note_signer *signer;
	struct tree tree;
	uint64_t published;                        // the checkpoint's size
	struct hash edge[TILE_LEVELS][TILE_WIDTH]; // the hashes of each level's last, unfinished tile
	struct buf bundle;                         // likewise its entries
	int files[OPEN_MAX_FILES];                 // written, not yet synced
	unsigned n_files;
	char **dirs; // relative paths of directories that got a new name
	size_t n_dirs;
	struct tile *filled; // whose partial files may go once the checkpoint is out
	size_t n_filled;
};

static struct result sync_files(struct tiler *t, struct err *e)
{
	struct result r = OK;
	for (unsigned i = 0; i < t->n_files; i++) {
		if (!failed(r) && fsync(t->files[i]) != 0)
			r = err_sys(e, "%s: sync a tile", t->dir);
		close(t->files[i]);
	}
	t->n_files = 0;
	return r;
}

static void remember_dir(struct tiler *t, const char *dir)
{
	for (size_t i = 0; i < t->n_dirs; i++) {
		if (strcmp(t->dirs[i], dir) == 0)
			return;
	}
	t->dirs = mem_grow(t->dirs, t->n_dirs + 1, sizeof(*t->dirs));
	t->dirs[t->n_dirs++] = mem_strdup(dir);
}

static void forget(struct tiler *t)
{
	for (size_t i = 0; i < t->n_dirs; i++)
		free(t->dirs[i]);
	t->n_dirs = 0;
	t->n_filled = 0;
}

static struct result sync_dirs(struct tiler *t, struct err *e)
{
	char path[PATH_MAX];
	for (size_t i = 0; i < t->n_dirs; i++) {
		snprintf(path, sizeof(path), "%s/%s", t->dir, t->dirs[i]);
		AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fsync(fd) != 0)
			return err_sys(e, "%s: sync", path);
	}
	return OK;
}

// Creates the missing directories above the file `name`; those that get a new name in them will be synced.
static struct result make_dirs(struct tiler *t, const char *name, struct err *e)
{
	char rel[TILE_PATH_MAX], path[PATH_MAX];
	snprintf(rel, sizeof(rel), "%s", name);
	char *slash = strrchr(rel, '/');
	*slash = '\0';
	remember_dir(t, rel);
	snprintf(path, sizeof(path), "%s/%s", t->dir, rel);
	if (mkdir(path, 0700) == 0) {
		slash = strrchr(rel, '/');
		if (slash != NULL)
			*slash = '\0';
		remember_dir(t, slash == NULL ? "." : rel);
		return OK;
	}
	if (errno == EEXIST)
		return OK;
	if (errno != ENOENT)
		return err_sys(e, "%s: create directory", path);
	TRY(make_dirs(t, rel, e));
	return mkdir(path, 0700) == 0 ? OK : err_sys(e, "%s: create directory", path);
}

// The file may be there already, left by an attempt that no checkpoint ever covered: it is written anew.
static struct result write_tile(struct tiler *t, const struct tile *tile, struct span content, struct err *e)
{
	char name[TILE_PATH_MAX], path[PATH_MAX];
	tile_path(tile, name);
	TRY(make_dirs(t, name, e));
	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	if (t->n_files == OPEN_MAX_FILES)
		TRY(sync_files(t, e));
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "%s: create", path);
	t->files[t->n_files++] = fd;
	return failed(fd_write_all(fd, content.data, content.len, e)) ? err_prefix(e, "%s", path) : OK;
}

static struct span hashes_span(const struct hash *h, size_t n)
{
	return span_from((const char *)h, n * sizeof(*h));
}

// A tile became full: it is written, and its root goes one level up.
static struct result finish_tile(struct tiler *t, int level, struct err *e)
{
	uint64_t count = t->tree.size >> (8 * level); // hashes at this level
	struct tile tile = {level, count / TILE_WIDTH - 1, TILE_WIDTH};
	TRY(write_tile(t, &tile, hashes_span(t->edge[level], TILE_WIDTH), e));
	t->filled = mem_grow(t->filled, t->n_filled + 2, sizeof(*t->filled));
	t->filled[t->n_filled++] = tile;
	if (level == 0) {
		tile.level = TILE_ENTRIES;
		TRY(write_tile(t, &tile, buf_span(&t->bundle), e));
		buf_clear(&t->bundle);
		t->filled[t->n_filled++] = tile;
	}
	if (level + 1 == TILE_LEVELS)
		return OK;
	t->edge[level + 1][(count / TILE_WIDTH - 1) % TILE_WIDTH] = tile_subtree(t->edge[level], 8);
	return count / TILE_WIDTH % TILE_WIDTH == 0 ? finish_tile(t, level + 1, e) : OK;
}

struct result tiler_add(struct tiler *t, struct span entry, const struct hash *leaf, struct err *e)
{
	BUG_ON(entry.len > TILE_ENTRY_MAX);
	const char length[2] = {(char)(entry.len >> 8), (char)entry.len};
	BUG_ON(!buf_add(&t->bundle, span_from(length, 2)) || !buf_add(&t->bundle, entry));
	t->edge[0][t->tree.size % TILE_WIDTH] = *leaf;
	tree_push(&t->tree, leaf);
	return t->tree.size % TILE_WIDTH == 0 ? finish_tile(t, 0, e) : OK;
}

// A tile that a checkpoint covers is never opened for writing again: a kill or a full disk would take signed hashes with it.
static bool is_published(const struct tiler *t, const struct tile *tile)
{
	return tile->index == tile_full(t->published, tile->level) && tile->width == tile_partial(t->published, tile->level);
}

static struct result write_partials(struct tiler *t, struct err *e)
{
	for (int level = 0; level < TILE_LEVELS; level++) {
		struct tile tile = {level, tile_full(t->tree.size, level), tile_partial(t->tree.size, level)};
		if (tile.width == 0 || is_published(t, &tile))
			continue;
		TRY(write_tile(t, &tile, hashes_span(t->edge[level], tile.width), e));
		if (level > 0)
			continue;
		tile.level = TILE_ENTRIES;
		TRY(write_tile(t, &tile, buf_span(&t->bundle), e));
	}
	return OK;
}

// Partial tiles of what is full now. A failure here costs only disk space.
static void remove_partials(const struct tiler *t)
{
	for (size_t i = 0; i < t->n_filled; i++) {
		char name[TILE_PATH_MAX], path[PATH_MAX];
		tile_partial_dir(&t->filled[i], name);
		snprintf(path, sizeof(path), "%s/%s", t->dir, name);
		if (failed(file_remove_tree(path, NULL)))
			continue;
	}
}

struct result tiler_publish(struct tiler *t, struct checkpoint *published, struct err *e)
{
	AUTO_BUF struct buf note;
	char path[PATH_MAX];
	struct checkpoint c = {t->tree.size, tree_root(&t->tree)};
	buf_init(&note, NOTE_MAX);
	TRY(write_partials(t, e));
	TRY(sync_files(t, e));
	TRY(sync_dirs(t, e));
	TRY(checkpoint_sign(&c, t->signer, &note, e));
	snprintf(path, sizeof(path), "%s/checkpoint", t->dir);
	TRY(file_write_atomic(path, buf_span(&note), 0600, e));
	t->published = c.size;
	remove_partials(t);
	forget(t);
	*published = c;
	return OK;
}

uint64_t tiler_size(const struct tiler *t)
{
	return t->tree.size;
}

// The tree's frontier, out of the last tiles: each tile's hashes are complete subtrees of 256^level leaves.
static struct result load_edges(struct tiler *t, uint64_t size, struct err *e)
{
	for (int level = TILE_LEVELS - 1; level >= 0; level--) {
		unsigned width = tile_partial(size, level);
		if (width == 0)
			continue;
		TRY(logdir_tile(t->dir, level, tile_full(size, level), width, t->edge[level], e));
		unsigned at = 0;
		for (unsigned height = 8; height-- > 0;) {
			if ((width >> height & 1) == 0)
				continue;
			struct hash root = tile_subtree(&t->edge[level][at], height);
			tree_push_subtree(&t->tree, (unsigned)level * 8 + height, &root);
			at += 1U << height;
		}
	}
	return OK;
}

// The unfinished bundle, whose entries must be those that the tile's hashes stand for.
static struct result load_bundle(struct tiler *t, uint64_t size, struct err *e)
{
	unsigned width = tile_partial(size, TILE_ENTRIES);
	if (width == 0)
		return OK;
	TRY(logdir_bundle(t->dir, tile_full(size, TILE_ENTRIES), width, &t->bundle, e));
	struct span rest = buf_span(&t->bundle), entry;
	for (unsigned i = 0; i < width; i++) {
		TRY(tile_next_entry(&rest, &entry, e));
		struct hash leaf = hash_leaf(entry);
		if (!hash_eq(&leaf, &t->edge[0][i]))
			return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " is not the one that was signed", size - width + i);
	}
	t->bundle.end -= rest.len; // a full bundle may stand where the partial one was
	return OK;
}

static struct result load(struct tiler *t, struct err *e)
{
	struct checkpoint c = {0, {{0}}};
	struct err read;
	if (failed(logdir_checkpoint(t->dir, &t->signer->v, &c, &read)) && read.kind != ERR_NOT_FOUND)
		return err_set(e, read.kind, "%s", read.msg);
	t->published = c.size;
	TRY(load_edges(t, c.size, e));
	struct hash root = tree_root(&t->tree);
	if (c.size > 0 && (t->tree.size != c.size || !hash_eq(&root, &c.root)))
		return err_set(e, ERR_CORRUPT, "%s: the tiles do not lead to the checkpoint's root", t->dir);
	return load_bundle(t, c.size, e);
}

struct result tiler_load(const char *dir, const struct note_signer *signer, struct tiler **out, struct err *e)
{
	struct tiler *t = NEW(struct tiler);
	t->dir = dir;
	t->signer = signer;
	tree_init(&t->tree);
	buf_init(&t->bundle, TILE_BUNDLE_MAX);
	if (failed(load(t, e))) {
		tiler_free(&t);
		return FAIL;
	}
	*out = t;
	return OK;
}

void tiler_free(struct tiler **t)
{
	if (*t == NULL)
		return;
	for (unsigned i = 0; i < (*t)->n_files; i++)
		close((*t)->files[i]);
	forget(*t);
	free((*t)->dirs);
	free((*t)->filled);
	buf_fini(&(*t)->bundle);
	free(*t);
	*t = NULL;
}

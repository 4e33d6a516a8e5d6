#include "recorder/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"

struct segment {
	int fd;
	size_t size;
	uint64_t end; // one past the last entry it holds
};

struct segments {
	char *dir;
	int lock; // the directory, locked
	struct segment s[JOURNAL_SEGMENTS];
	unsigned current;
	uint64_t generation;
	size_t offset; // where the next record goes in the current one
	struct journal_check chain;
	struct buf out;
};

// Zeros, not a hole: syncing over a hole or an unwritten extent has to change metadata, which is what preallocation avoids.
static struct result fill(int fd, size_t size, const char *path, struct err *e)
{
	static const char zeros[65536];
	for (size_t at = 0; at < size; at += sizeof(zeros)) {
		if (failed(fd_write_all(fd, zeros, sizeof(zeros), e)))
			return err_prefix(e, "%s: preallocate %zu bytes", path, size);
	}
	return fsync(fd) == 0 ? OK : err_sys(e, "%s: sync", path);
}

// A segment is made beside its name, so that one that was cut short while being made is never taken for one.
static struct result make(const char *path, size_t size, struct err *e)
{
	AUTO_FREE char *tmp = mem_printf("%s.new", path);
	AUTO_FD int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "%s: create", tmp);
	if (failed(fill(fd, size, tmp, e))) {
		unlink(tmp);
		return FAIL;
	}
	return rename(tmp, path) == 0 ? OK : err_sys(e, "%s: rename", path);
}

static struct result open_segment(const char *dir, unsigned number, size_t size, struct segment *s, struct err *e)
{
	AUTO_FREE char *path = mem_printf("%s/journal/%u", dir, number);
	struct stat st;
	s->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (s->fd < 0 && errno == ENOENT) {
		TRY(make(path, size, e));
		s->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	}
	if (s->fd < 0 || fstat(s->fd, &st) != 0)
		return err_sys(e, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size < JOURNAL_SEGMENT_MIN || st.st_size > JOURNAL_SEGMENT_MAX)
		return err_set(e, ERR_CORRUPT, "%s: not a journal segment (%lld bytes)", path, (long long)st.st_size);
	s->size = (size_t)st.st_size;
	return OK;
}

// The directory is locked before anything in it is made: two that begin a log at the same time can't both have it.
static struct result lock(struct segments *s, const char *path, struct err *e)
{
	s->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB) == 0)
		return OK;
	return errno == EWOULDBLOCK
	               ? err_set(e, ERR_CONFLICT, "%s: another recorder has this log open; stop that one first", s->dir)
	               : err_sys(e, "%s: lock", path);
}

static struct result open_all(struct segments *s, size_t size, struct err *e)
{
	AUTO_FREE char *path = mem_printf("%s/journal", s->dir);
	TRY(file_mkdirs(path, 0700, e));
	TRY(lock(s, path, e));
	for (unsigned i = 0; i < JOURNAL_SEGMENTS; i++)
		TRY(open_segment(s->dir, i, size, &s->s[i], e));
	return fsync(s->lock) == 0 ? OK : err_sys(e, "%s: sync", path);
}

struct result segments_open(const char *dir, size_t size, struct segments **out, struct err *e)
{
	struct segments *s = NEW(struct segments);
	s->dir = mem_strdup(dir);
	s->lock = -1;
	buf_init(&s->out, JOURNAL_SEGMENT_MAX);
	for (unsigned i = 0; i < JOURNAL_SEGMENTS; i++)
		s->s[i].fd = -1;
	if (failed(open_all(s, size, e))) {
		segments_close(&s);
		return FAIL;
	}
	*out = s;
	return OK;
}

void segments_close(struct segments **s)
{
	if (*s == NULL)
		return;
	for (unsigned i = 0; i < JOURNAL_SEGMENTS; i++)
		fd_close(&(*s)->s[i].fd);
	fd_close(&(*s)->lock);
	buf_fini(&(*s)->out);
	free((*s)->dir);
	free(*s);
	*s = NULL;
}

static struct result write_at(int fd, struct span bytes, size_t offset, const char *dir, struct err *e)
{
	while (bytes.len > 0) {
		ssize_t n = pwrite(fd, bytes.data, bytes.len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "%s/journal: write", dir);
		bytes = span_skip(bytes, (size_t)n);
		offset += (size_t)n;
	}
	return OK;
}

static void new_header(uint64_t generation, uint64_t first, struct journal_check *salt, unsigned char page[JOURNAL_HEADER])
{
	struct journal_header h = {.generation = generation, .first = first};
	random_bytes(h.salt.b, sizeof(h.salt.b));
	*salt = h.salt;
	journal_header_write(&h, page);
}

struct result segments_begin(struct segments *s, uint64_t generation, uint64_t first, struct err *e)
{
	unsigned char page[JOURNAL_HEADER];
	s->current = generation % JOURNAL_SEGMENTS;
	new_header(generation, first, &s->chain, page);
	TRY(write_at(s->s[s->current].fd, span_from((const char *)page, sizeof(page)), 0, s->dir, e));
	if (fdatasync(s->s[s->current].fd) != 0)
		return err_sys(e, "%s/journal: sync", s->dir);
	s->generation = generation;
	s->offset = JOURNAL_HEADER;
	for (unsigned i = 0; i < JOURNAL_SEGMENTS; i++)
		s->s[i].end = first;
	return OK;
}

static size_t record_bytes(size_t n, size_t bytes)
{
	return n * JOURNAL_RECORD_HEADER + bytes;
}

bool segments_have_room(const struct segments *s, size_t n, size_t bytes, uint64_t published)
{
	size_t need = record_bytes(n, bytes);
	const struct segment *other = &s->s[1 - s->current];
	return need <= s->s[s->current].size - s->offset || (other->end <= published && need <= other->size - JOURNAL_HEADER);
}

struct result segments_write(struct segments *s, uint64_t first, struct segments_entry *entries, size_t n, struct err *e)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += entries[i].bytes.len;
	unsigned target = s->current;
	size_t offset = s->offset;
	uint64_t generation = s->generation;
	struct journal_check chain = s->chain;
	buf_clear(&s->out);
	if (record_bytes(n, bytes) > s->s[target].size - offset) {
		unsigned char page[JOURNAL_HEADER];
		target = 1 - target;
		offset = 0;
		new_header(++generation, first, &chain, page);
		BUG_ON(!buf_add(&s->out, span_from((const char *)page, sizeof(page))));
		// If this fails, part of it may be on disk: nothing may follow in the old segment any more.
		s->offset = s->s[s->current].size;
	}
	for (size_t i = 0; i < n; i++) {
		entries[i].leaf = hash_leaf(entries[i].bytes);
		BUG_ON(!journal_record_write(&s->out, &chain, first + i, entries[i].bytes, &entries[i].leaf));
	}
	TRY(write_at(s->s[target].fd, buf_span(&s->out), offset, s->dir, e));
	if (fdatasync(s->s[target].fd) != 0)
		return err_sys(e, "%s/journal: sync", s->dir);
	s->current = target;
	s->generation = generation;
	s->offset = offset + buf_len(&s->out);
	s->chain = chain;
	s->s[target].end = first + n;
	return OK;
}

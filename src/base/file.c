#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

struct result fd_write_all(int fd, const void *data, size_t n, struct err *e)
{
	const char *p = data;
	while (n > 0) {
		ssize_t w = write(fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_sys(e, "write");
		p += w;
		n -= (size_t)w;
	}
	return OK;
}

struct result fd_read_all(int fd, void *data, size_t n, struct err *e)
{
	char *p = data;
	while (n > 0) {
		ssize_t r = read(fd, p, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, "read");
		if (r == 0)
			return err_set(e, ERR_UNREACHABLE, "the other end closed, %zu bytes short", n);
		p += r;
		n -= (size_t)r;
	}
	return OK;
}

struct result fd_set_nonblock(int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(e, "set O_NONBLOCK");
	return OK;
}

static struct result open_regular(const char *path, struct stat *st, int *out, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(e, ERR_NOT_FOUND, "%s: no such file", path);
	if (fd < 0 || fstat(fd, st) != 0)
		return err_sys(e, "%s", path);
	if (!S_ISREG(st->st_mode))
		return err_set(e, ERR_INVALID, "%s: not a regular file", path);
	*out = STEAL_FD(fd);
	return OK;
}

static struct result read_to_end(int fd, const char *path, struct buf *out, struct err *e)
{
	buf_clear(out);
	for (;;) {
		size_t left = out->max - buf_len(out);
		size_t want = left < 65536 ? left : 65536;
		char one = 0;
		char *to = want == 0 ? &one : buf_reserve(out, want);
		ssize_t r = read(fd, to, want == 0 ? 1 : want);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, "%s: read", path);
		if (r == 0)
			return OK;
		if (want == 0)
			return err_set(e, ERR_TOO_LARGE, "%s: larger than %zu bytes", path, out->max);
		buf_commit(out, (size_t)r);
	}
}

struct result file_read(const char *path, struct buf *out, struct err *e)
{
	struct stat st;
	AUTO_FD int fd = -1;
	TRY(open_regular(path, &st, &fd, e));
	return read_to_end(fd, path, out, e);
}

struct result file_read_secret(const char *path, struct buf *out, struct err *e)
{
	struct stat st;
	AUTO_FD int fd = -1;
	TRY(open_regular(path, &st, &fd, e));
	if ((st.st_mode & 0007) != 0)
		return err_set(e, ERR_DENIED, "%s: others can read or write this secret (mode %04o); run: chmod 600 %s", path,
		               (unsigned)(st.st_mode & 07777), path);
	TRY(read_to_end(fd, path, out, e));
	while (buf_len(out) > 0 && (out->mem[out->end - 1] == '\n' || out->mem[out->end - 1] == '\r'))
		out->end--;
	if (buf_len(out) == 0)
		return err_set(e, ERR_INVALID, "%s: empty, expected a secret", path);
	return OK;
}

struct result file_read_key(const char *path, struct buf *out, struct err *e)
{
	TRY(file_read_secret(path, out, e));
	return span_is_visible(buf_span(out))
	               ? OK
	               : err_set(e, ERR_INVALID, "%s: expected a key on one line, without spaces or control characters", path);
}

// The directory part of `path` into `out` ("." without one).
static void parent_of(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
	snprintf(out, PATH_MAX, "%.*s", n == 0 ? 1 : (int)n, n == 0 ? "." : path);
}

static struct result sync_parent(const char *path, struct err *e)
{
	char dir[PATH_MAX];
	parent_of(path, dir);
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		return err_sys(e, "%s: sync directory", dir);
	return OK;
}

#define TMP_MARK ".tmp-"
#define TMP_DIGITS 16

static struct result write_and_place(const char *path, struct span content, mode_t mode, bool replace, struct err *e)
{
	char tmp[PATH_MAX];
	int n = snprintf(tmp, sizeof(tmp), "%s" TMP_MARK "%016llx", path, (unsigned long long)random_u64());
	if (n < 0 || n >= (int)sizeof(tmp))
		return err_set(e, ERR_INVALID, "%s: path too long", path);
	AUTO_FD int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "%s: create", tmp);
	struct result r = fd_write_all(fd, content.data, content.len, e);
	if (!failed(r) && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		r = err_sys(e, "%s: sync", tmp);
	if (!failed(r) && replace && rename(tmp, path) != 0)
		r = err_sys(e, "%s: rename", path);
	if (!failed(r) && !replace && link(tmp, path) != 0)
		r = errno == EEXIST ? err_set(e, ERR_CONFLICT, "%s: exists already", path) : err_sys(e, "%s: link", path);
	if (failed(r) || !replace)
		unlink(tmp);
	TRY(r);
	return sync_parent(path, e);
}

struct result file_write_atomic(const char *path, struct span content, mode_t mode, struct err *e)
{
	return write_and_place(path, content, mode, true, e);
}

struct result file_create(const char *path, struct span content, mode_t mode, struct err *e)
{
	return write_and_place(path, content, mode, false, e);
}

static bool is_leftover(const char *name)
{
	size_t n = strlen(name), tail = strlen(TMP_MARK) + TMP_DIGITS;
	return n > tail && strncmp(name + n - tail, TMP_MARK, strlen(TMP_MARK)) == 0 &&
	       strspn(name + n - TMP_DIGITS, "0123456789abcdef") == TMP_DIGITS;
}

struct result file_remove_leftovers(const char *dir, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *ent;
	if (d == NULL)
		return err_sys(e, "%s", dir);
	struct result r = OK;
	while (!failed(r) && (ent = readdir(d)) != NULL) {
		if (is_leftover(ent->d_name) && unlinkat(dirfd(d), ent->d_name, 0) != 0)
			r = err_sys(e, "%s/%s: remove", dir, ent->d_name);
	}
	closedir(d);
	return r;
}

struct result file_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char p[PATH_MAX];
	if (snprintf(p, sizeof(p), "%s", path) >= (int)sizeof(p))
		return err_set(e, ERR_INVALID, "%s: path too long", path);
	for (char *slash = strchr(p + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(p, mode) != 0 && errno != EEXIST)
			return err_sys(e, "%s: create directory", p);
		*slash = '/';
	}
	if (mkdir(p, mode) != 0 && errno != EEXIST)
		return err_sys(e, "%s: create directory", p);
	struct stat st;
	if (stat(p, &st) != 0)
		return err_sys(e, "%s", p);
	return S_ISDIR(st.st_mode) ? OK : err_set(e, ERR_INVALID, "%s: exists and is not a directory", p);
}

#define NESTED_MAX 32 // directories held open at once while removing

// A directory below `dir`, made readable if its owner had made it otherwise. Never through a link.
static int open_below(int dir, const char *name)
{
	int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, O_RDONLY | flags);
	if (fd >= 0 || errno != EACCES)
		return fd;
	AUTO_FD int path = openat(dir, name, O_PATH | flags);
	char self[40];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", path);
	if (path < 0 || chmod(self, 0700) != 0)
		return -1;
	return openat(dir, name, O_RDONLY | flags);
}

struct removal {
	int top;    // the directory that is removed
	dev_t dev;  // its file system, which must not be left
	bool moved; // something too deep was moved up into it
	struct err *e;
};

static struct result empty_tree(struct removal *r, int dir_fd, unsigned depth);

static struct result remove_dir(struct removal *r, int parent, const char *name, unsigned depth)
{
	AUTO_FD int fd = open_below(parent, name);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(r->e, "%s: remove", name);
	if (st.st_dev != r->dev)
		return err_set(r->e, ERR_CONFLICT, "%s: another file system is mounted here", name);
	// Whoever made the tree chose its depth, but descriptors and stack are ours: deep parts are moved up and come again.
	char up[40];
	snprintf(up, sizeof(up), ".removing-%016llx", (unsigned long long)random_u64());
	if (depth >= NESTED_MAX && fchmod(fd, 0700) == 0 && renameat(parent, name, r->top, up) == 0) {
		r->moved = true;
		return OK;
	}
	TRY(empty_tree(r, STEAL_FD(fd), depth + 1));
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 ? OK : err_sys(r->e, "%s: remove", name);
}

// Empties the directory behind `dir_fd`, which it closes.
static struct result empty_tree(struct removal *r, int dir_fd, unsigned depth)
{
	DIR *d = fdopendir(dir_fd);
	if (d == NULL) {
		close(dir_fd);
		return err_sys(r->e, "open directory");
	}
	// Entries only leave a directory that can be written. One that is not ours stays as it is, and its entries tell.
	(void)!fchmod(dir_fd, 0700);
	struct result done = OK;
	struct dirent *ent;
	while (!failed(done) && (ent = readdir(d)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		if (ent->d_type != DT_DIR && (unlinkat(dirfd(d), ent->d_name, 0) == 0 || errno == ENOENT))
			continue;
		bool directory = ent->d_type == DT_DIR || errno == EISDIR || errno == EPERM;
		done = directory ? remove_dir(r, dirfd(d), ent->d_name, depth) : err_sys(r->e, "%s: remove", ent->d_name);
	}
	closedir(d);
	return done;
}

struct result file_remove_tree(const char *path, struct err *e)
{
	AUTO_FD int top = open_below(AT_FDCWD, path);
	if (top < 0 && errno == ENOENT)
		return OK;
	struct stat st;
	if (top < 0 || fstat(top, &st) != 0)
		return err_sys(e, "%s: remove", path);
	struct removal r = {.top = top, .dev = st.st_dev, .moved = true, .e = e};
	while (r.moved) {
		r.moved = false;
		int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, "%s: remove", path);
		if (failed(empty_tree(&r, fd, 0)))
			return err_prefix(e, "%s", path);
	}
	return rmdir(path) == 0 ? OK : err_sys(e, "%s: remove", path);
}

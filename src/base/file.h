// Files and descriptors. Everything opened here is close-on-exec.
#ifndef SALLYPORT_BASE_FILE_H
#define SALLYPORT_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

void fd_close(int *fd); // closes unless -1, sets -1
#define AUTO_FD __attribute__((cleanup(fd_close)))
#define STEAL_FD(fd)             \
	({                       \
		int tmp_ = (fd); \
		(fd) = -1;       \
		tmp_;            \
	})

// The whole of a regular file into `out` (cleared first), up to its maximum: ERR_TOO_LARGE names path and limit,
// ERR_NOT_FOUND when it is not there.
MUST_USE struct result file_read(const char *path, struct buf *out, struct err *e);

// A secret: as file_read, then trailing newlines are dropped; refuses (ERR_DENIED) a file that others than the owner and group
// can read or write (mode & 0007), and an empty one. The caller wipes it.
MUST_USE struct result file_read_secret(const char *path, struct buf *out, struct err *e);

// A secret that is a key of one line, such as goes into an HTTP field: ERR_INVALID unless it is visible ASCII.
MUST_USE struct result file_read_key(const char *path, struct buf *out, struct err *e);

// Writes all of it to a temporary file beside `path`, syncs, renames over it and syncs the directory: a reader sees the old
// content or the new, also after power loss. `mode` is the new file's mode.
MUST_USE struct result file_write_atomic(const char *path, struct span content, mode_t mode, struct err *e);

// As file_write_atomic, but fails with ERR_CONFLICT if `path` exists, and never replaces it.
MUST_USE struct result file_create(const char *path, struct span content, mode_t mode, struct err *e);

// Removes the temporary files that these two leave in a directory when they are killed. Nobody may be writing there.
MUST_USE struct result file_remove_leftovers(const char *dir, struct err *e);

// Creates a directory and its missing parents with `mode`; one that exists is fine.
MUST_USE struct result file_mkdirs(const char *path, mode_t mode, struct err *e);

// Removes a directory and all below it without following links or crossing mounts. A missing one is fine.
MUST_USE struct result file_remove_tree(const char *path, struct err *e);

// Writes or reads all `n` bytes of a blocking descriptor. An early end of input is ERR_UNREACHABLE.
MUST_USE struct result fd_write_all(int fd, const void *data, size_t n, struct err *e);
MUST_USE struct result fd_read_all(int fd, void *data, size_t n, struct err *e);

MUST_USE struct result fd_set_nonblock(int fd, struct err *e);

#endif

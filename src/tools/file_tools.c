#include "tools/file_tools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "tools/path.h"

static int refuse(int fd, const char *tool, const char *given, struct answer *a)
{
	if (fd >= 0)
		close(fd);
	answer_error(a, "%s: %s is not a regular file", tool, given);
	return -1;
}

int file_tools_open(const char *abs, const char *tool, const char *given, off_t *size, struct answer *a)
{
	const char *leaf;
	struct stat st;
	AUTO_FD int dir = path_open_parent(abs, &leaf);
	if (dir < 0 || fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		path_answer(a, tool, given, errno);
		return -1;
	}
	if (!S_ISREG(st.st_mode))
		return refuse(-1, tool, given, a);
	// It may have become something else since: O_NONBLOCK keeps a FIFO from holding us, and the type is asked again.
	int fd = openat(dir, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		path_answer(a, tool, given, errno);
		fd_close(&fd);
		return -1;
	}
	if (!S_ISREG(st.st_mode))
		return refuse(fd, tool, given, a);
	*size = st.st_size;
	return fd;
}

int file_tools_read(int fd, size_t max, struct buf *out)
{
	while (max > 0) {
		size_t want = max < 65536 ? max : 65536;
		char *to = buf_reserve(out, want);
		if (to == NULL)
			return EFBIG;
		ssize_t n = read(fd, to, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		buf_commit(out, (size_t)n);
		max -= (size_t)n;
	}
	return 0;
}

static int write_content(int fd, struct span content)
{
	while (content.len > 0) {
		ssize_t n = write(fd, content.data, content.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		content = span_skip(content, (size_t)n);
	}
	return fsync(fd) < 0 ? errno : 0;
}

int file_tools_replace(const char *abs, struct span content)
{
	const char *leaf;
	char temp[64];
	struct stat st;
	AUTO_FD int dir = path_open_parent(abs, &leaf);
	if (dir < 0)
		return errno;
	snprintf(temp, sizeof(temp), ".tmp-%d-%016llx%016llx", (int)getpid(), (unsigned long long)random_u64(),
	         (unsigned long long)random_u64());
	bool exists = fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0;
	AUTO_FD int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	int error = exists && fchmod(fd, st.st_mode & 0777) < 0 ? errno : 0;
	if (error == 0)
		error = write_content(fd, content);
	if (error == 0 && renameat(dir, temp, dir, leaf) < 0)
		error = errno;
	if (error != 0)
		unlinkat(dir, temp, 0);
	return error;
}

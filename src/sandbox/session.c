#include "sandbox/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "sandbox/procfs.h"

bool session_name_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	return n > 0 && n <= SESSION_NAME_MAX && s[n] == '\0';
}

// When the process started, in clock ticks after boot: with its number it names one process. 0 when it can't be told.
static uint64_t start_time(pid_t pid)
{
	char path[64], text[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	struct span rest = {text, procfs_read(path, text, sizeof(text))}, word;
	uint64_t ticks = 0;
	const char *name_end = strrchr(text, ')'); // the name before it may hold anything
	if (name_end == NULL)
		return 0;
	rest = span_skip(rest, (size_t)(name_end + 1 - text));
	for (int field = 3; field < 22; field++) {
		if (!procfs_word(&rest, &word))
			return 0;
	}
	return procfs_number(&rest, &ticks) ? ticks : 0;
}

static void boot_id(char out[40])
{
	(void)procfs_read("/proc/sys/kernel/random/boot_id", out, 37);
}

struct result session_note(int lock, pid_t init, struct err *e)
{
	char boot[40], text[128];
	boot_id(boot);
	int n = snprintf(text, sizeof(text), "%s %d %" PRIu64 "\n", boot, init, start_time(init));
	if (ftruncate(lock, 0) != 0 || pwrite(lock, text, (size_t)n, 0) != n)
		return err_sys(e, "write the session's lock");
	return OK;
}

// Whether the process noted in the lock file is gone: it is no process any more, or a dead one that nobody has reaped.
static bool noted_is_gone(int lock)
{
	char text[128], boot[40];
	struct span noted_boot;
	uint64_t pid, started;
	ssize_t n = pread(lock, text, sizeof(text), 0);
	if (n <= 0)
		return n == 0; // nothing was ever noted
	struct span rest = span_from(text, (size_t)n);
	if (!procfs_word(&rest, &noted_boot) || !procfs_number(&rest, &pid) || !procfs_number(&rest, &started) || pid > INT_MAX)
		return false;
	boot_id(boot);
	if (!span_is(noted_boot, boot))
		return true;
	AUTO_FD int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0)
		return errno == ESRCH;
	uint64_t now = start_time((pid_t)pid);
	if (now != 0 && started != 0 && now != started)
		return true; // another process has its number
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, 0) == 1;
}

struct result session_is_dead(int sessions_dir, const char *session, bool *dead, struct err *e)
{
	char path[SESSION_NAME_MAX + 16];
	*dead = false;
	if (!session_name_ok(session))
		return err_set(e, ERR_INVALID, "a session's name has 1 to %d letters, digits, '-' or '_'", SESSION_NAME_MAX);
	snprintf(path, sizeof(path), "%s/lock", session);
	AUTO_FD int lock = openat(sessions_dir, path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (lock < 0 && errno == ENOENT) {
		*dead = true;
		return OK;
	}
	if (lock < 0)
		return err_sys(e, "the lock of session %s", session);
	*dead = flock(lock, LOCK_EX | LOCK_NB) == 0 && noted_is_gone(lock);
	return OK;
}

struct result session_open(int sessions_dir, const char *session, struct session *out, struct err *e)
{
	char path[SESSION_NAME_MAX + 16];
	struct stat st;
	if (!session_name_ok(session))
		return err_set(e, ERR_INVALID, "a session's name has 1 to %d letters, digits, '-' or '_'", SESSION_NAME_MAX);
	if (mkdirat(sessions_dir, session, 0700) != 0 && errno != EEXIST)
		return err_sys(e, "session %s", session);
	snprintf(path, sizeof(path), "%s/lock", session);
	AUTO_FD int lock = openat(sessions_dir, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lock < 0)
		return err_sys(e, "the lock of session %s", session);
	if (flock(lock, LOCK_EX | LOCK_NB) != 0 || !noted_is_gone(lock))
		return err_set(e, ERR_CONFLICT, "an older sandbox of session %s is still alive", session);
	snprintf(path, sizeof(path), "%s/workspace", session);
	if (mkdirat(sessions_dir, path, 0700) != 0 && errno != EEXIST)
		return err_sys(e, "the workspace of session %s", session);
	if (fstatat(sessions_dir, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
		return err_sys(e, "the workspace of session %s", session);
	*out = (struct session){STEAL_FD(lock), st.st_uid};
	return OK;
}

struct result session_own(int sessions_dir, const char *session, uint32_t tools_id, struct err *e)
{
	char path[SESSION_NAME_MAX + 16];
	snprintf(path, sizeof(path), "%s/workspace", session);
	if (fchownat(sessions_dir, path, tools_id, tools_id, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(e, "the workspace of session %s", session);
	return OK;
}

bool session_owner_exists(int sessions_dir, uint32_t tools_id)
{
	int fd = openat(sessions_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;
	bool found = false;
	while (d != NULL && !found && (ent = readdir(d)) != NULL) {
		char path[300];
		struct stat st;
		snprintf(path, sizeof(path), "%s/workspace", ent->d_name);
		found = fstatat(sessions_dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == tools_id;
	}
	if (d != NULL)
		closedir(d);
	return found;
}

// What the tools made unreadable for themselves. Never a link: those have been unlinked.
static void open_up(int dir, const char *name)
{
	if (fchmodat(dir, name, 0700, 0) != 0)
		return; // the opening that follows tells
}

// Empties `top` (a directory) however deep it is, without recursion: what is found below its directories is moved up to it,
// under names of our own, until nothing is left. Nothing is followed.
static struct result empty(int top, struct err *e)
{
	unsigned long moved = 0;
	AUTO_FD int dir = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = dir < 0 ? NULL : fdopendir(dup(dir));
	if (d == NULL)
		return err_sys(e, "open a directory to remove");
	bool again = true;
	struct result r = OK;
	while (again && !failed(r)) {
		const struct dirent *ent;
		again = false;
		rewinddir(d);
		while (!failed(r) && (ent = readdir(d)) != NULL) {
			if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
				continue;
			if (unlinkat(dir, ent->d_name, 0) == 0)
				continue;
			again = true;
			open_up(dir, ent->d_name);
			if (unlinkat(dir, ent->d_name, AT_REMOVEDIR) == 0)
				continue;
			AUTO_FD int sub = openat(dir, ent->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			DIR *s = sub < 0 ? NULL : fdopendir(dup(sub));
			const struct dirent *below;
			if (s == NULL)
				r = err_sys(e, "remove %s", ent->d_name);
			while (s != NULL && (below = readdir(s)) != NULL) {
				char name[64];
				if (strcmp(below->d_name, ".") == 0 || strcmp(below->d_name, "..") == 0 ||
				    unlinkat(sub, below->d_name, 0) == 0 || unlinkat(sub, below->d_name, AT_REMOVEDIR) == 0)
					continue;
				snprintf(name, sizeof(name), ".sallyport-removing-%lu", moved++);
				open_up(sub, below->d_name);
				if (renameat(sub, below->d_name, dir, name) != 0 && errno != EEXIST && errno != ENOTEMPTY)
					r = err_sys(e, "remove %s", below->d_name);
			}
			if (s != NULL)
				closedir(s);
		}
	}
	closedir(d);
	return r;
}

struct result session_remove(int sessions_dir, const char *session, struct err *e)
{
	AUTO_FD int dir = openat(sessions_dir, session, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? OK : err_sys(e, "session %s", session);
	AUTO_FD int workspace = openat(dir, "workspace", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (workspace >= 0)
		TRY(empty(workspace, e));
	if ((workspace >= 0 && unlinkat(dir, "workspace", AT_REMOVEDIR) != 0) ||
	    (unlinkat(dir, "lock", 0) != 0 && errno != ENOENT) || unlinkat(sessions_dir, session, AT_REMOVEDIR) != 0)
		return err_sys(e, "remove session %s", session);
	return OK;
}

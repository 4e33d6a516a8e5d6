#include "sandbox/workspace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"

static bool write_map(pid_t pid, const char *file, uint32_t from, uint32_t to)
{
	char path[64], text[48];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	int n = snprintf(text, sizeof(text), "%u %u 1\n", from, to);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, (size_t)n) == n;
}

// A user namespace that nobody lives in: it only says that `owner` on disk is `id` in the mount.
static struct result make_map(const struct stat *st, uint32_t id, int *ns, struct err *e)
{
	int made[2];
	char path[64], byte;
	if (pipe2(made, O_CLOEXEC) != 0)
		return err_sys(e, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) != 0 || write(made[1], "m", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	fd_close(&made[1]);
	bool ok = pid > 0 && read(made[0], &byte, 1) == 1 && write_map(pid, "uid_map", st->st_uid, id) &&
	          write_map(pid, "gid_map", st->st_gid, id);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	*ns = ok ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct result r = *ns >= 0 ? OK : err_sys(e, "map the owner of the workspace");
	fd_close(&made[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}

static bool is_empty(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int n = 0;
	while (d != NULL && readdir(d) != NULL && n < 3)
		n++;
	if (d != NULL)
		closedir(d);
	return d != NULL && n == 2;
}

static struct result map_owner(struct workspace *w, const char *path, const struct stat *st, uint32_t kernel_id, struct err *e)
{
	AUTO_FD int ns = -1;
	TRY(make_map(st, kernel_id, &ns, e));
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)ns};
	if (mount_setattr(w->mount_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		return OK;
	return err_sys(e, "%s: its file system can't show it to the sandbox as its own", path);
}

struct result workspace_open(const char *path, const struct idspace *ids, struct workspace *out, struct err *e)
{
	struct stat st;
	AUTO_FD int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(e, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "%s is not a directory", path);
	if (st.st_uid == 0)
		return err_set(e, ERR_DENIED,
		               "%s belongs to root, and so would what the sandbox's programs make in it: chown it to a user",
		               path);
	*out = (struct workspace){.mount_fd = -1};
	if (geteuid() == 0) { // may clone the mount here and now; others do it inside (stage.c)
		out->mount_fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (out->mount_fd < 0)
			return err_sys(e, "%s: clone the mount", path);
	}
	bool ours = st.st_uid >= ids->base && st.st_uid - ids->base < ids->count;
	if (ids->count == 0)
		return OK;
	out->tools_id = ours ? st.st_uid - ids->base + 1 : 2 * (1 + (uint32_t)random_below(ids->count / 2));
	if (ours)
		return OK;
	if (out->mount_fd >= 0)
		return map_owner(out, path, &st, ids->base + out->tools_id - 1, e);
	out->adopt = st.st_uid == geteuid() && is_empty(fd);
	if (out->adopt)
		return OK;
	return err_set(e, ERR_DENIED,
	               "%s has files of yours in it, and a sandbox has a uid of its own: without root only an empty directory "
	               "can be given",
	               path);
}

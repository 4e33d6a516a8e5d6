#include "sandbox/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sandbox/etc.h"

#define TERMINALS_MAX "256" // of one sandbox: kernel.pty.max counts those of all

static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};

static struct result attach(int mount_fd, const char *path, struct err *e)
{
	if (move_mount(mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0)
		return err_sys(e, "mount on %s", path);
	return OK;
}

static struct result restrict_mount(int mount_fd, uint64_t attributes, struct err *e)
{
	struct mount_attr attr = {.attr_set = attributes};
	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) != 0)
		return err_sys(e, "make a mount read-only");
	return OK;
}

// `from` (and what is mounted below it) on `to`, with the attributes.
static struct result bind(const char *from, const char *to, uint64_t attributes, struct err *e)
{
	AUTO_FD int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (fd < 0)
		return err_sys(e, "%s: clone the mount", from);
	TRY(restrict_mount(fd, attributes, e));
	return attach(fd, to, e);
}

static struct result make_dir(const char *path, struct err *e)
{
	return mkdir(path, 0755) == 0 || errno == EEXIST ? OK : err_sys(e, "%s: create directory", path);
}

static struct result make_links(const char *dir, const char *const (*links)[2], struct err *e)
{
	char path[128];
	for (; (*links)[0] != NULL; links++) {
		snprintf(path, sizeof(path), "%s/%s", dir, (*links)[0]);
		if (symlink((*links)[1], path) != 0)
			return err_sys(e, "%s", path);
	}
	return OK;
}

static struct result dev_build(struct err *e)
{
	static const char *const links[][2] = {{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
	                                       {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	                                       {"ptmx", "pts/ptmx"},          {NULL, NULL}};
	TRY(make_dir("dev", e));
	if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") != 0)
		return err_sys(e, "tmpfs for /dev");
	TRY(make_dir("dev/pts", e));
	TRY(make_dir("dev/shm", e));
	TRY(make_links("dev", links, e));
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		char from[32], to[32];
		snprintf(from, sizeof(from), "/dev/%s", devices[i]);
		snprintf(to, sizeof(to), "dev/%s", devices[i]);
		AUTO_FD int file = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
		if (file < 0)
			return err_sys(e, "%s", to);
		TRY(bind(from, to, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e));
	}
	AUTO_FD int fd = open("dev", O_PATH | O_CLOEXEC);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0)
		return err_sys(e, "make /dev read-only");
	return OK;
}

static struct stage_entry *entry_add(struct stage *s, const char *name, struct err *e)
{
	if (s->n_entries == STAGE_ENTRIES_MAX || strlen(name) >= STAGE_NAME_MAX) {
		(void)err_set(e, ERR_TOO_LARGE, "the root has more than %d entries at its top, or a long one (%s)",
		              STAGE_ENTRIES_MAX, name);
		return NULL;
	}
	struct stage_entry *entry = &s->entries[s->n_entries++];
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	return entry;
}

static bool has_mounts_below(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[1024];
	size_t len = strlen(path);
	bool found = false;
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%*s %*s %*s %*s %1023s", point) == 1 && strncmp(point, path, len) == 0 &&
		        point[len] == '/';
	if (f != NULL)
		fclose(f);
	return found;
}

// The directory `full` of the host's on `to`, read through an overlay: a socket in it can't be connected to, as it could be
// through a bind. `over` is a directory of ours that lies over it.
static struct result overlay(const char *over, const char *full, const char *to, struct err *e)
{
	char data[8300];
	snprintf(data, sizeof(data), "lowerdir=%s:%s", over, full);
	return mount("overlay", to, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, data) == 0 ? OK
	                                                                                    : err_sys(e, "overlay of %s", full);
}

// A directory of programs of the host's. What is mounted below it is not seen through an overlay, and a kernel may have none:
// then it is a bind, and *overlaid is cleared.
static struct result programs_build(const char *path, bool *overlaid, struct err *e)
{
	TRY(make_dir(path + 1, e));
	if (!has_mounts_below(path) && !failed(overlay("over", path, path + 1, e)))
		return OK;
	*overlaid = false;
	return bind(path, path + 1, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
}

// The host's /usr, and what stands beside it on this distribution: links into it, or (before the merge) directories.
static struct result host_build(struct stage *s, struct err *e)
{
	static const char *const beside[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
	TRY(make_dir("over", e));
	s->overlay = true;
	TRY(programs_build("/usr", &s->overlay, e));
	struct stage_entry *entry = entry_add(s, "usr", e);
	if (entry == NULL)
		return FAIL;
	entry->program = true;
	for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
		char path[32];
		struct stat st;
		snprintf(path, sizeof(path), "/%s", beside[i]);
		if (lstat(path, &st) != 0)
			continue;
		entry = entry_add(s, beside[i], e);
		if (entry == NULL)
			return FAIL;
		if (S_ISLNK(st.st_mode)) {
			ssize_t n = readlink(path, entry->link, sizeof(entry->link) - 1);
			if (n < 0)
				return err_sys(e, "%s", path);
			entry->link[n] = '\0';
			continue;
		}
		entry->program = true;
		TRY(programs_build(path, &s->overlay, e));
	}
	TRY(etc_build("etc", e));
	return entry_add(s, "etc", e) != NULL ? OK : FAIL;
}

static bool is_ours(const char *name) // what a sandbox brings itself, whatever the directory holds
{
	static const char *const ours[] = {".", "..", "dev", "proc", "sys", "tmp", "run", "home", "workspace", "lost+found"};
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (strcmp(name, ours[i]) == 0)
			return true;
	}
	return false;
}

static struct result entries_read(struct stage *s, const char *root, struct err *e)
{
	DIR *d = opendir(root);
	struct result r = d == NULL ? err_sys(e, "%s", root) : OK;
	const struct dirent *ent;
	while (!failed(r) && (ent = readdir(d)) != NULL) {
		struct stat st;
		if (is_ours(ent->d_name) || fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (!S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode) && !S_ISREG(st.st_mode))
			continue;
		struct stage_entry *entry = entry_add(s, ent->d_name, e);
		if (entry == NULL) {
			r = FAIL;
			break;
		}
		entry->program = entry->file = S_ISREG(st.st_mode);
		entry->program = !S_ISLNK(st.st_mode);
		ssize_t n = S_ISLNK(st.st_mode) ? readlinkat(dirfd(d), ent->d_name, entry->link, sizeof(entry->link) - 1) : 0;
		if (n < 0 || n == (ssize_t)sizeof(entry->link) - 1) {
			r = err_set(e, ERR_TOO_LARGE, "%s/%s: a link longer than %zu bytes", root, ent->d_name,
			            sizeof(entry->link) - 2);
			break;
		}
		entry->link[n] = '\0';
	}
	if (d != NULL)
		closedir(d);
	return r;
}

// A directory as root, read through an overlay that lays our few files of /etc over its own.
static struct result directory_build(struct stage *s, const char *root, struct err *e)
{
	char full[4096];
	s->directory = true;
	s->from = "/root";
	if (realpath(root, full) == NULL)
		return err_sys(e, "%s", root);
	if (strpbrk(full, ":,\\") != NULL)
		return err_set(e, ERR_INVALID, "%s: a root's path must not hold ':', ',' or '\\'", full);
	TRY(make_dir("over", e));
	TRY(make_dir("over/etc", e));
	TRY(etc_build_over("over/etc", full, e));
	TRY(make_dir("root", e));
	if (failed(overlay("over", full, "root", e)))
		return err_prefix(e, "a plain bind would let programs connect to sockets in it");
	s->overlay = true;
	return entries_read(s, "root", e);
}

static struct result enter(struct err *e)
{
	if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return err_sys(e, "make the stage the root");
	return OK;
}

// The mount of the directory `path`, detached.
static struct result take_mount(const char *path, int *mount_fd, struct err *e)
{
	*mount_fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return *mount_fd >= 0 ? OK : err_sys(e, "%s: clone the mount", path);
}

static struct result sessions_build(const struct stage_opts *o, int store, struct err *e)
{
	char data[64];
	if (store >= 0)
		return attach(store, "sessions", e);
	snprintf(data, sizeof(data), "mode=700,size=%llu,nr_inodes=1m", (unsigned long long)o->memory);
	if (mount("tmpfs", "sessions", "tmpfs", MS_NOSUID | MS_NODEV, data) != 0)
		return err_sys(e, "tmpfs for the workspace");
	return OK;
}

struct result stage_build(const struct stage_opts *o, struct stage *out, struct err *e)
{
	static const char *const dirs[] = {"proc", "sessions", "given", "new"};
	// Any directory that nothing is taken from will do as the place: it is covered in this namespace only.
	const char *place = o->sessions != NULL ? o->sessions : "/sys";
	*out = (struct stage){.from = ""};
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return err_sys(e, "make all mounts private");
	AUTO_FD int own = -1; // a mount of ours can be cloned in this namespace only
	AUTO_FD int store = -1;
	if (o->given != NULL && o->given_fd < 0)
		TRY(take_mount(o->given, &own, e));
	if (o->sessions != NULL) {
		TRY(take_mount(o->sessions, &store, e));
		TRY(restrict_mount(store, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e));
	}
	if (mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m") != 0 || chdir(place) != 0)
		return err_sys(e, "%s: tmpfs for the stage", place);
	umask(022);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		TRY(make_dir(dirs[i], e));
	TRY(dev_build(e));
	TRY(bind("/proc", "proc", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e));
	TRY(strcmp(o->root, "host-usr") == 0 ? host_build(out, e) : directory_build(out, o->root, e));
	TRY(sessions_build(o, store, e));
	if (o->given != NULL)
		TRY(attach(o->given_fd >= 0 ? o->given_fd : own, "given", e));
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (mount_setattr(AT_FDCWD, ".", 0, &attr, sizeof(attr)) != 0)
		return err_sys(e, "make the stage read-only");
	return enter(e);
}

struct result stage_clone(const char *path, int *mount_fd, struct err *e)
{
	AUTO_FD int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, "%s: clone the mount", path);
	TRY(restrict_mount(fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e));
	*mount_fd = STEAL_FD(fd);
	return OK;
}

struct result stage_pts(int *mount_fd, struct err *e)
{
	AUTO_FD int fs = fsopen("devpts", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0) != 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0600", 0) != 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "max", TERMINALS_MAX, 0) != 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		return err_sys(e, "devpts");
	*mount_fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return *mount_fd >= 0 ? OK : err_sys(e, "devpts");
}

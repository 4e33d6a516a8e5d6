#include "sandbox/lockdown.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sandbox/kernel.h"
#include "seccomp_roles.h"

struct ruleset { // the kernel's, as of ABI 6
	uint64_t fs, net, scoped;
};

struct beneath {
	uint64_t access;
	int32_t parent_fd;
} __attribute__((packed));

struct result lockdown_harden(struct err *e)
{
	struct rlimit none = {0, 0};
	gid_t group;
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, "forbid core dumps and new privileges");
#ifndef __SANITIZE_ADDRESS__
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		return err_sys(e, "forbid dumps");
#endif
	int n = getgroups(0, NULL);
	if (n == 0 || (n == 1 && getgroups(1, &group) == 1 && group == getegid()) || setgroups(0, NULL) == 0)
		return OK;
	return err_set(e, ERR_DENIED,
	               "this process has %d supplementary groups that it can't drop: start it with `setpriv --clear-groups`",
	               n);
}

static struct result allow(int rules, const char *path, uint64_t access, uint64_t for_files, struct err *e)
{
	struct stat st;
	AUTO_FD int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return OK; // what is not there needs no rule
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(e, "%s", path);
	struct beneath b = {S_ISDIR(st.st_mode) ? access : access & for_files, fd};
	if (syscall(SYS_landlock_add_rule, rules, 1, &b, 0) != 0)
		return err_sys(e, "Landlock: %s", path);
	return OK;
}

static struct result enter_landlock(const struct lockdown_opts *o, const struct kernel_landlock *l, struct err *e)
{
	static const char *const readable[] = {"/usr", "/lib", "/lib64", "/etc", "/proc", "/run/systemd/resolve", NULL};
	struct ruleset set = {l->handled, 0, l->scoped};
	AUTO_FD int rules = (int)syscall(SYS_landlock_create_ruleset, &set, l->abi >= 6 ? 24 : l->abi >= 4 ? 16 : 8, 0);
	if (rules < 0)
		return err_sys(e, "Landlock");
	for (size_t i = 0; readable[i] != NULL; i++)
		TRY(allow(rules, readable[i], l->read, ~l->list, e));
	for (size_t i = 0; o->readable != NULL && o->readable[i] != NULL; i++)
		TRY(allow(rules, o->readable[i], l->read, ~l->list, e));
	TRY(allow(rules, "/dev", l->device, ~l->list, e));
	for (size_t i = 0; o->writable != NULL && o->writable[i] != NULL; i++)
		TRY(allow(rules, o->writable[i], l->write & ~(l->programs & ~l->read), l->device, e));
	if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		return err_sys(e, "enter Landlock");
	return OK;
}

static struct result enter_seccomp(bool network, struct err *e)
{
	struct sock_fprog local = {ARRAY_LEN(seccomp_roles_local), (struct sock_filter *)seccomp_roles_local};
	struct sock_fprog out = {ARRAY_LEN(seccomp_roles_network), (struct sock_filter *)seccomp_roles_network};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, network ? &out : &local) != 0)
		return err_sys(e, "enter seccomp");
	return OK;
}

static bool alone(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;
	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n == 3; // ".", ".." and this one
}

// Tries what must not work.
static struct result check(bool landlock, struct err *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "sallyport-lockdown-%d", getpid());
	AUTO_FD int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&address, sizeof(address)) == 0 || errno != EPERM || listen(s, 1) == 0)
		return err_set(e, ERR_SYSTEM, "lock-down does not hold: a socket could still be bound");
	AUTO_FD int file = landlock ? open("/", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;
	if (file >= 0)
		return err_set(e, ERR_SYSTEM, "lock-down does not hold: a file could be made outside");
	return OK;
}

struct result lockdown_apply(const struct lockdown_opts *opts, int *landlock, struct err *e)
{
	struct kernel_landlock l;
	TRY(lockdown_harden(e));
	if (!alone())
		return err_set(e, ERR_CONFLICT, "lock-down came after the first thread, for which Landlock would not hold");
	kernel_landlock_roles(&l);
	if (l.abi > 0)
		TRY(enter_landlock(opts, &l, e));
	TRY(enter_seccomp(opts->network, e));
	if (landlock != NULL)
		*landlock = l.abi;
	return check(l.abi > 0, e);
}

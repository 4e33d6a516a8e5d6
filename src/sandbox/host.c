#include "sandbox/host.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "sandbox/kernel.h"
#include "sandbox/procfs.h"

static bool line_has(const char *path, const char *what)
{
	FILE *f = fopen(path, "re");
	char line[4096];
	bool found = false;
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, what) != NULL;
	if (f != NULL)
		fclose(f);
	return found;
}

// errno of unshare in a child; 0 when it works.
static int try_namespace(void)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
		              CLONE_NEWCGROUP) == 0
		              ? 0
		              : errno);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
}

static void explain_namespaces(struct host_facts *h, int err)
{
	const char *why = strerror(err), *remedy = "see the kernel's configuration (CONFIG_USER_NS)";
	if (procfs_read_number("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0)
		remedy = "sysctl kernel.unprivileged_userns_clone=1";
	else if (procfs_read_number("/proc/sys/user/max_user_namespaces", 1) == 0)
		remedy = "sysctl user.max_user_namespaces=10000";
	else if (h->container)
		remedy = "the container's profile refuses them: start it with --security-opt seccomp=unconfined "
		         "--security-opt systempaths=unconfined";
	else if (procfs_read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1)
		remedy = "AppArmor restricts them: give sallyport a profile with \"userns,\", or sysctl "
		         "kernel.apparmor_restrict_unprivileged_userns=0";
	snprintf(h->no_namespaces, sizeof(h->no_namespaces), "%s; %s", why, remedy);
}

// Whether something is mounted over parts of /proc: the kernel then gives no new procfs to a user namespace.
static bool proc_is_masked(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[1024];
	bool masked = false;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%*s %*s %*s %*s %1023s", point) == 1 && strncmp(point, "/proc/", 6) == 0 &&
		    strcmp(point, "/proc/sys/fs/binfmt_misc") != 0)
			masked = true;
	}
	if (f != NULL)
		fclose(f);
	return masked;
}

void host_look(struct host_facts *h)
{
	struct utsname name;
	struct kernel_landlock landlock;
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	*h = (struct host_facts){0};
	if (uname(&name) == 0)
		snprintf(h->kernel, sizeof(h->kernel), "%.63s", name.release);
	h->container = access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0;
	int err = try_namespace();
	h->namespaces = err == 0;
	if (err != 0)
		explain_namespaces(h, err);
	h->proc_masked = proc_is_masked();
	kernel_landlock(&landlock);
	h->landlock = landlock.abi;
	h->seccomp = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
	h->memfd_exec = procfs_read_number("/proc/sys/vm/memfd_noexec", 0) < 2;
	h->overlay = line_has("/proc/filesystems", "overlay");
	h->swap = line_has("/proc/swaps", "/");
}

#include "sandbox/birth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "sandbox/init/abi.h"
#include "sandbox/init/sys.h"

#define STACK_SIZE (64 * 1024)
#define HIGH 100 // descriptors are moved up here first, so that moving them down overwrites none
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

// From here on in the child: it shares the spawner's memory, thread-local storage included, so it makes raw system calls only.

static long child_fds(const struct birth *b, long *image)
{
	const int from[] = {b->control, b->nursery, b->lock, b->workspace, b->pts};
	long high[5] = {0}, null = sys4(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
	*image = sys3(__NR_fcntl, b->image, F_DUPFD_CLOEXEC, HIGH);
	if (null < 0 || *image < 0)
		return null < 0 ? null : *image;
	for (int i = 0; i < 3; i++)
		sys3(__NR_dup3, null, i, 0); // the standard three, where they are not it already
	for (int i = 0; i < 5; i++) {
		high[i] = sys3(__NR_fcntl, from[i], F_DUPFD_CLOEXEC, HIGH);
		if (high[i] < 0)
			return high[i];
	}
	for (int i = 0; i < 5; i++) {
		long err = sys3(__NR_dup3, high[i], INIT_FD_CONTROL + i, 0);
		if (err < 0)
			return err;
	}
	return sys3(__NR_close_range, INIT_FD_END, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
}

// Where the init's uid inside is not 0, executing it would lose the capabilities that set-up needs: they are made ambient.
static long child_keep_caps(void)
{
	static const unsigned char needed[] = {CAP_CHOWN,      CAP_DAC_OVERRIDE, CAP_FOWNER,      CAP_KILL,
	                                       CAP_SETGID,     CAP_SETUID,       CAP_SETPCAP,     CAP_NET_ADMIN,
	                                       CAP_SYS_CHROOT, CAP_SYS_ADMIN,    CAP_SYS_RESOURCE};
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};
	long err = sys2(__NR_capget, &head, data);
	data[0].inheritable = data[0].permitted;
	data[1].inheritable = data[1].permitted;
	if (err >= 0)
		err = sys2(__NR_capset, &head, data);
	for (unsigned i = 0; i < sizeof(needed) && err >= 0; i++)
		err = sys5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, needed[i], 0, 0);
	return err;
}

__attribute__((no_sanitize("address", "undefined"))) static int child(void *arg)
{
	const struct birth *b = arg;
	static const char *const argv[] = {"init", NULL}, *const env[] = {NULL};
	uint32_t uid = b->uid;
	bool setgroups = b->setgroups;
	char go;
	long image, err;
	sys1(__NR_close, b->spawner_end);
	do
		err = sys6(__NR_recvfrom, b->control, SYS_ARG(&go), 1, 0, 0, 0);
	while (err == -EINTR);
	if (err <= 0)
		sys_exit(1);
	err = child_fds(b, &image);
	if (err >= 0 && setgroups)
		err = sys2(__NR_setgroups, 0, NULL);
	if (err >= 0)
		err = sys3(__NR_setresgid, uid, uid, uid);
	if (err >= 0)
		err = sys3(__NR_setresuid, uid, uid, uid);
	if (err >= 0 && uid != 0)
		err = child_keep_caps();
	if (err >= 0)
		err = sys5(__NR_execveat, image, "", argv, env, AT_EMPTY_PATH);
	struct init_event ev = {EVENT_SETUP_FAILED, STAGE_IDS, 0, (int32_t)-err};
	sys6(__NR_sendto, INIT_FD_NURSERY, SYS_ARG(&ev), sizeof(ev), SYS_MSG_NOSIGNAL, 0, 0);
	sys_exit(1);
}

// From here on in the spawner.

struct result birth_start(struct birth *b, pid_t *pid, struct err *e)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return err_sys(e, "a stack");
	b->stack = stack;
	// Sharing the memory instead of copying it saves the copy's page faults; without CLONE_VFORK, which would stop us
	// before we could write the maps.
	*pid = clone(child, stack + STACK_SIZE, NAMESPACES | CLONE_VM | SIGCHLD, b);
	if (*pid >= 0)
		return OK;
	struct result r = err_sys(e, "a new set of namespaces");
	if (errno == ENOSPC)
		r = err_set(e, ERR_TOO_LARGE,
		            "no more namespaces: user.max_*_namespaces is reached on this machine (sysctl user)");
	birth_release(b);
	return r;
}

void birth_release(struct birth *b)
{
	if (b->stack != NULL)
		munmap(b->stack, STACK_SIZE);
	b->stack = NULL;
}

static struct result write_file(pid_t pid, const char *file, const char *text, struct err *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = (ssize_t)strlen(text);
	return fd >= 0 && write(fd, text, (size_t)len) == len ? OK : err_sys(e, "%s of a sandbox", file);
}

struct result birth_map(pid_t pid, bool ranged, uint32_t init_id, uint32_t tools_id, struct err *e)
{
	char text[64];
	if (ranged)
		snprintf(text, sizeof(text), "0 %u 1\n1000 %u 1\n", init_id, tools_id);
	else
		snprintf(text, sizeof(text), "1000 0 1\n");
	// The map files belong to root unless the memory they speak of is dumpable; an earlier child's change of ids, in the
	// same memory, made it not.
	(void)prctl(PR_SET_DUMPABLE, 1);
	struct result r = write_file(pid, "uid_map", text, e);
	if (!failed(r))
		r = write_file(pid, "gid_map", text, e);
	// Where memory runs out, the sandbox's processes end before anybody else's.
	if (!failed(r))
		r = write_file(pid, "oom_score_adj", "500", e);
	(void)prctl(PR_SET_DUMPABLE, 0);
	return r;
}

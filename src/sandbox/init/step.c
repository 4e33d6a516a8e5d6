// One step of the plan each.
#include <asm/fcntl.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/sockios.h>

#include "init.h"

#define S_IFREG 0100000
#define AF_INET 2
#define SOCK_DGRAM 2
#define IFF_UP 1
#define IFF_RUNNING 0x40

static long step_mkdir(const struct plan *p, const struct plan_step *s)
{
	const char *path = plan_string(p, s->a);
	long err = sys3(__NR_mkdirat, AT_FDCWD, path, s->n);
	if (err >= 0 && (s->flags & PLAN_TOOLS) != 0)
		err = sys5(__NR_fchownat, AT_FDCWD, path, p->tools_uid, p->tools_uid, 0);
	return err;
}

static long step_write(const struct plan *p, const struct plan_step *s)
{
	const char *text = plan_string(p, s->b);
	long fd = sys4(__NR_openat, AT_FDCWD, plan_string(p, s->a), O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	long n = sys3(__NR_write, fd, text, str_len(text));
	sys1(__NR_close, fd);
	return n;
}

static long step_pivot(const struct plan *p, const struct plan_step *s)
{
	long err = sys1(__NR_chdir, plan_string(p, s->a));
	// The old root is stacked on the new one and taken off again: no directory is needed to put it.
	if (err >= 0)
		err = sys2(__NR_pivot_root, ".", ".");
	if (err >= 0)
		err = sys2(__NR_umount2, ".", 2 /* MNT_DETACH */);
	if (err >= 0)
		err = sys1(__NR_chdir, "/");
	return err;
}

static long step_loopback(void)
{
	struct { // struct ifreq
		char name[16];
		short flags;
		char unused[22];
	} request = {.name = "lo"};
	long fd = sys3(__NR_socket, AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return fd;
	long err = sys3(__NR_ioctl, fd, SIOCGIFFLAGS, &request);
	request.flags |= IFF_UP | IFF_RUNNING;
	if (err >= 0)
		err = sys3(__NR_ioctl, fd, SIOCSIFFLAGS, &request);
	sys1(__NR_close, fd);
	return err;
}

long step_run(const struct plan *p, const struct plan_step *s)
{
	const char *a = plan_string(p, s->a), *b = plan_string(p, s->b);
	switch (s->op) {
	case PLAN_MKDIR:
		return step_mkdir(p, s);
	case PLAN_SYMLINK:
		return sys3(__NR_symlinkat, a, AT_FDCWD, b);
	case PLAN_WRITE:
		return step_write(p, s);
	case PLAN_CREATE:
		return sys4(__NR_mknodat, AT_FDCWD, a, S_IFREG | s->n, 0);
	case PLAN_MOUNT:
		return sys5(__NR_mount, a, b, plan_string(p, s->c), s->flags, plan_string(p, s->d));
	case PLAN_MOVE:
		return sys5(__NR_move_mount, s->n, "", AT_FDCWD, b, MOVE_MOUNT_F_EMPTY_PATH);
	case PLAN_READONLY:
		return sys5(__NR_mount, 0, a, 0, MS_REMOUNT | MS_BIND | MS_RDONLY | s->flags, 0);
	case PLAN_PIVOT:
		return step_pivot(p, s);
	case PLAN_HOSTNAME:
		return sys2(__NR_sethostname, a, str_len(a));
	case PLAN_LOOPBACK:
		return step_loopback();
	default:
		return -22;
	}
}

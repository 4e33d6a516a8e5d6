#include "sandbox/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

// linux/landlock.h; Debian 12's stops at ABI 2.
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_BLOCK = 1 << 11,
	FS_REFER = 1 << 13,           // ABI 2
	FS_TRUNCATE = 1 << 14,        // ABI 3
	FS_IOCTL_DEV = 1 << 15,       // ABI 5
	SCOPE_ABSTRACT_UNIX = 1 << 0, // ABI 6
	SCOPE_SIGNAL = 1 << 1,        // ABI 6
};

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static void landlock_from(struct kernel_landlock *out, int first_abi)
{
	*out = (struct kernel_landlock){0};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	if (abi < 1)
		return;
	out->abi = (int)abi;
	out->files = abi >= first_abi;
	if (out->files) {
		out->handled = (1 << 13) - 1 + (abi >= 2 ? FS_REFER : 0) + (abi >= 3 ? FS_TRUNCATE : 0) +
		               (abi >= 5 ? FS_IOCTL_DEV : 0);
		out->list = FS_READ_DIR;
		out->read = FS_READ_FILE | FS_READ_DIR;
		out->programs = out->read | FS_EXECUTE;
		out->write = out->handled & ~(uint64_t)(FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_IOCTL_DEV);
		out->device = out->handled & (FS_READ_FILE | FS_WRITE_FILE | FS_READ_DIR | FS_TRUNCATE | FS_IOCTL_DEV);
	}
	if (abi >= 6)
		out->scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
}

void kernel_landlock(struct kernel_landlock *out)
{
	landlock_from(out, 2);
}

void kernel_landlock_roles(struct kernel_landlock *out)
{
	landlock_from(out, 1);
}

uint32_t kernel_last_cap(void)
{
	uint32_t cap = 0;
	while (prctl(PR_CAPBSET_READ, cap + 1) >= 0)
		cap++;
	return cap;
}

static struct result image_file(const void *image, size_t size, const char *dir, int *out, struct err *e)
{
	char path[4200];
	snprintf(path, sizeof(path), "%s/init.%d", dir, getpid());
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0555);
	if (fd < 0)
		return err_sys(e, "%s", path);
	struct result r = fd_write_all(fd, image, size, e);
	fd_close(&fd); // a file that is open for writing can't be executed
	*out = failed(r) ? -1 : open(path, O_PATH | O_CLOEXEC);
	if (!failed(r) && *out < 0)
		r = err_sys(e, "%s", path);
	(void)unlink(path);
	return r;
}

struct result kernel_image(const void *image, size_t size, const char *fallback, int *fd, bool *memfd, struct err *e)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	AUTO_FD int mem = memfd_create("init", flags | MFD_EXEC);
	if (mem < 0 && errno == EINVAL) // before Linux 6.3 every memfd can be executed
		mem = memfd_create("init", flags);
	*memfd = mem >= 0;
	if (mem < 0)
		return image_file(image, size, fallback, fd, e);
	TRY(fd_write_all(mem, image, size, e));
	if (fchmod(mem, 0555) != 0 || fcntl(mem, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
		return err_sys(e, "seal the init");
	*fd = STEAL_FD(mem);
	return OK;
}

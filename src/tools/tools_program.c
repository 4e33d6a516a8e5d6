// The executable that runs inside, carried in this one's read-only data (tools_program.S).
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/file.h"
#include "tools/tools.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U // Linux 6.3; Debian 12's headers are older
#endif

extern const char tools_program_start[], tools_program_end[];

struct result tools_program_fd(int *fd, struct err *e)
{
	AUTO_FD int made = memfd_create("sallyport-tools", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (made < 0 && errno == EINVAL) // before Linux 6.3
		made = memfd_create("sallyport-tools", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made < 0)
		return err_sys(e, "make a memfd for the tools program (vm.memfd_noexec=2 forbids it)");
	TRY(fd_write_all(made, tools_program_start, (size_t)(tools_program_end - tools_program_start), e));
	if (fcntl(made, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(e, "seal the tools program");
	*fd = STEAL_FD(made);
	return OK;
}

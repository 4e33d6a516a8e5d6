// What this kernel gives to a sandbox.
#ifndef SALLYPORT_SANDBOX_KERNEL_H
#define SALLYPORT_SANDBOX_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define KERNEL_LANDLOCK_MAX 7 // the newest ABI whose rights are known here

// The newest of the kernel's that is known here.
struct kernel_landlock {
	int abi;           // 0: none
	bool files;        // file rules are used: from ABI 2 on (ABI 1 forbids rename and link across directories)
	uint64_t handled;  // LANDLOCK_ACCESS_FS_*
	uint64_t scoped;   // LANDLOCK_SCOPE_*
	uint64_t read;     // of them: reading files, listing directories
	uint64_t list;     // listing directories
	uint64_t programs; // reading and executing
	uint64_t write;    // everything but making devices
	uint64_t device;   // reading, writing and ioctl
};

void kernel_landlock(struct kernel_landlock *out);
// For our own roles, which rename within one directory only: file rules from ABI 1 on.
void kernel_landlock_roles(struct kernel_landlock *out);
uint32_t kernel_last_cap(void);

// The init as something that can be executed by its descriptor and changed by nobody: a sealed memfd, or, where
// vm.memfd_noexec forbids those, a read-only file in the directory `fallback`, opened with O_PATH.
MUST_USE struct result kernel_image(const void *image, size_t size, const char *fallback, int *fd, bool *memfd, struct err *e);

#endif

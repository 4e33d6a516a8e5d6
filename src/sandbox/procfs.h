// Reading the kernel's small text files.
#ifndef SALLYPORT_SANDBOX_PROCFS_H
#define SALLYPORT_SANDBOX_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

// The file's first `cap` - 1 bytes, NUL-terminated; their number, 0 when it can't be read.
size_t procfs_read(const char *path, char *out, size_t cap);

// Takes the next word (up to a blank or the end of the line) or number off *rest. False at the end, or for what is no number.
bool procfs_word(struct span *rest, struct span *word);
bool procfs_number(struct span *rest, uint64_t *out);

// The number that the file holds; `absent` when there is none.
uint64_t procfs_read_number(const char *path, uint64_t absent);

#endif

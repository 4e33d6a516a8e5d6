// The file tools, and what they share.
#ifndef SALLYPORT_TOOLS_FILE_TOOLS_H
#define SALLYPORT_TOOLS_FILE_TOOLS_H

#include <sys/types.h>

#include "tools/answer.h"

#define FILE_TOOLS_MAX_BYTES 262144 // a whole file's size, or a selected range's

answer_tool read_tool, write_tool, edit_tool, glob_tool, grep_tool;

// Opens the regular file of a canonical path for reading; *size is what it holds. -1 when that fails; the answer then says why,
// in the tool's name. A FIFO or device is not opened.
int file_tools_open(const char *abs, const char *tool, const char *given, off_t *size, struct answer *a);

// Reads on to the end or to `max` bytes, whichever comes first. Returns 0 or an errno.
int file_tools_read(int fd, size_t max, struct buf *out);

// Replaces the file of a canonical path, or makes it (mode 0600), whole or not at all; one that is there keeps its permissions.
// Returns 0 or an errno.
int file_tools_replace(const char *abs, struct span content);

#endif

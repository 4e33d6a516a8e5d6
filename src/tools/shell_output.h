// What bash prints while a command runs: only the tail is kept, and the marker that ends it is found as it comes in.
#ifndef SALLYPORT_TOOLS_SHELL_OUTPUT_H
#define SALLYPORT_TOOLS_SHELL_OUTPUT_H

#include <stddef.h>

#include "base/buf.h"
#include "tools/shell.h"

#define SHELL_MARKER_LEN 28

struct shell_output {
	struct buf bytes;
	size_t scanned; // bytes in which the marker is known not to begin
	bool dropped;   // bytes before these were thrown away
	char marker[SHELL_MARKER_LEN + 1];
	bool complete;
	size_t end; // where the command's output ends
	int exit_code;
};

void shell_output_init(struct shell_output *o);
void shell_output_fini(struct shell_output *o);

// Forgets what there is and makes a new marker, which nobody can guess.
void shell_output_begin(struct shell_output *o);

// Room for n bytes (of at most 64 KiB), then how many came. With `keep` false they are dropped.
char *shell_output_reserve(struct shell_output *o, size_t n);
void shell_output_commit(struct shell_output *o, size_t n, bool keep);

// Whether "\n", the marker, the exit status and "\n" have been printed.
bool shell_output_complete(const struct shell_output *o);

// The command's output and exit status, once complete.
void shell_output_take(const struct shell_output *o, struct shell_outcome *out);

#endif

// The session's one persistent /bin/bash, fed through a pipe: directory, variables, functions and background jobs survive from
// command to command. It leads a session and a process group of its own and has no terminal.
#ifndef SALLYPORT_TOOLS_SHELL_H
#define SALLYPORT_TOOLS_SHELL_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "net/loop.h"

struct shell;

enum shell_end {
	SHELL_DONE,      // the command ended; exit_code and output are set
	SHELL_TIMED_OUT, // it is still running, or the marker was swallowed: close the shell
	SHELL_GONE,      // the shell itself ended: close it
};

struct shell_outcome {
	enum shell_end end;
	int exit_code;
	bool truncated;     // `output` is only the tail
	struct span output; // raw bytes, valid during the callback
};

// How a command's end is counted against the limit: the official toolset's marker is longer than ours, and it is the tail of
// what it holds, marker included, that is kept. In UTF-16 code units.
#define SHELL_OUTPUT_UNITS 102400

// Starts bash in `dir` with the program's own environment (less ANTHROPIC_*, plus PS1, PS2 and TERM).
MUST_USE struct result shell_new(struct loop *l, const char *dir, struct shell **out, struct err *e);

// Kills its whole process group (unless it ended by itself) and frees. No callback comes after it.
void shell_free(struct shell *s);

// True when bash has ended. What it printed between commands is dropped.
bool shell_gone(const struct shell *s);

// Runs one command at a time; `done` is called once, from the loop. `command` is copied. timeout_ms may be 0.
void shell_run(struct shell *s, struct span command, uint64_t timeout_ms,
               void (*done)(void *arg, const struct shell_outcome *o), void *arg);

#endif

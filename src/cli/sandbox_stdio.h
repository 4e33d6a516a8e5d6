// What a program in a sandbox gets as its three standard descriptors, when a command runs it for a person or a script.
//
// Files and pipes are handed in as they are. A terminal is not: the program gets a terminal of its own, so that it can neither
// read what is typed for others nor push input to them. Anything else (sockets) is joined by pipes.
#ifndef SALLYPORT_CLI_SANDBOX_STDIO_H
#define SALLYPORT_CLI_SANDBOX_STDIO_H

#include <stdbool.h>

#include "base/err.h"
#include "net/loop.h"

struct sandbox_stdio;

MUST_USE struct result sandbox_stdio_new(struct loop *l, struct sandbox_stdio **out, struct err *e);
int sandbox_stdio_fd(const struct sandbox_stdio *s, int which); // 0, 1, 2: borrowed, for the program
bool sandbox_stdio_terminal(const struct sandbox_stdio *s);
// The program has them: our copies of its ends are closed, and what it writes is passed on.
void sandbox_stdio_start(struct sandbox_stdio *s);
// It has ended: passes on what is left and puts the person's terminal back as it was. Nothing more runs afterwards.
void sandbox_stdio_finish(struct sandbox_stdio *s);

#endif

// Text from a model, a sandbox or a peer on its way to a person's screen: nothing in it may move the cursor, hide or reorder
// what stands there, or speak to the terminal.
#ifndef SALLYPORT_CLI_PRINTABLE_H
#define SALLYPORT_CLI_PRINTABLE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

// Appends `text` to `out`: controls (but for newline and tab, which are kept when `lines` is set, else become spaces), invalid
// UTF-8, and the Unicode characters that reorder or hide text are shown as <1b>, <u202e>. What does not fit is left out.
void printable_add(struct buf *out, struct span text, bool lines);

// The same as a heap string of at most about `max` bytes on one line, "…" at the end when it was cut.
char *printable_line(struct span text, size_t max);

// Columns that the well-formed UTF-8 text takes, counting one for each code point.
size_t printable_width(const char *text);

#endif

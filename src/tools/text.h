// Text as JavaScript sees it: UTF-8 decoded without failing (WHATWG Encoding, "utf-8 decode without BOM handling": each maximal
// ill-formed part becomes one U+FFFD), lengths in UTF-16 code units.
#ifndef SALLYPORT_TOOLS_TEXT_H
#define SALLYPORT_TOOLS_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

// The character at the head of `a` (not empty): its code point, or 0xFFFD for an ill-formed part; *len is how many bytes it
// took.
uint32_t text_next(struct span a, size_t *len);

// Appends `a` with ill-formed parts replaced. False when the buffer's maximum would be passed.
MUST_USE bool text_decode(struct span a, struct buf *out);

void text_put(uint32_t code_point, char out[4], size_t *len);

size_t text_units(struct span a); // UTF-16 code units after decoding

// The first or last bytes of well-formed `a` that make at most `units` code units. A cut inside a surrogate pair drops the
// whole character; *split tells so.
struct span text_head(struct span a, size_t units, bool *split);
struct span text_tail(struct span a, size_t units, bool *split);

// Removes ANSI control sequences (ESC [ parameters intermediates final), in place.
void text_strip_ansi(struct buf *b);

// A new array of the UTF-16 code units of `a`, decoded as above; *n is how many. The caller frees.
uint16_t *text_utf16(struct span a, size_t *n);

#endif

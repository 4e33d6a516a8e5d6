// JavaScript regular expressions (no flags) for the search that works where there is no ripgrep. The pattern is parsed here,
// with V8's error messages, and written anew for PCRE2, which runs it over UTF-16 code units as JavaScript does.
#ifndef SALLYPORT_TOOLS_REGEX_H
#define SALLYPORT_TOOLS_REGEX_H

#include <stdint.h>

#include "base/err.h"
#include "tools/arena.h"

struct regex;

// ERR_INVALID with V8's words ("Unterminated group"), or with PCRE2's for what it does not support.
MUST_USE struct result regex_new(struct span pattern, struct regex **out, struct err *e);
void regex_free(struct regex *r);

enum regex_match { REGEX_NO, REGEX_YES, REGEX_FAILED, REGEX_TIMED_OUT };

// Whether it matches anywhere in the line. REGEX_FAILED: it takes too much memory. It gives up at `deadline_ms`
// (clock_mono_ms).
enum regex_match regex_test(struct regex *r, const uint16_t *line, size_t len, uint64_t deadline_ms);

// The translation alone: appends the expression for PCRE2.
struct result regex_translate(struct arena *a, const uint16_t *pattern, size_t len, struct arena_units *out, struct err *e);

#endif

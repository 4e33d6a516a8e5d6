// grep's two ways of searching.
#ifndef SALLYPORT_TOOLS_GREP_H
#define SALLYPORT_TOOLS_GREP_H

#include <stdint.h>

#include "tools/answer.h"

#define GREP_OUTPUT_UNITS 102400 // UTF-16 code units of output
#define GREP_TIMEOUT_MS 60000

// The first `rg` in PATH that is not inside of `workdir`: a new string, NULL when there is none.
char *grep_rg_find(const char *workdir);
void grep_rg(const char *rg, struct span pattern, const char *path, struct answer *a);

// The built-in search. `real` is canonical; `path` is what answers call it.
void grep_walk(struct span pattern, const char *real, const char *path, uint64_t timeout_ms, struct answer *a);

#endif

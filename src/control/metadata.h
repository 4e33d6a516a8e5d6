// Metadata: maps of short strings, and patches of them.
#ifndef SALLYPORT_CONTROL_METADATA_H
#define SALLYPORT_CONTROL_METADATA_H

#include "base/err.h"
#include "base/json.h"

// The member `metadata` of `body`: at most 16 pairs, keys of 1 to 64 and values of up to 512 characters. *out is new: the map
// itself, or with `old` what becomes of that when it is patched (null deletes, and so does "" when `empty_deletes`).
MUST_USE struct result metadata_take(const json_t *body, const json_t *old, bool empty_deletes, json_t **out, struct err *e);

#endif

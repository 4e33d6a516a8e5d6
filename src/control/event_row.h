// An event as it is stored: the text without its last member, so that becoming processed rewrites no JSON.
#ifndef SALLYPORT_CONTROL_EVENT_ROW_H
#define SALLYPORT_CONTROL_EVENT_ROW_H

#include "base/buf.h"
#include "base/json.h"
#include "base/span.h"

// The stored text of `ev`: {"id":…,"type":…,<its other members> without the closing brace and without id, type, kept,
// processed_at of its own. Heap.
char *event_row_body(const json_t *ev, const char *id, const char *type, size_t *len);

// The whole event: body, processed_at (0: null), brace. False when `out` is full.
MUST_USE bool event_row_text(struct buf *out, struct span body, int64_t processed_at);

#endif

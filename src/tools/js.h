// A call's input as JavaScript treats it. The official toolset does not check types: a number where a string is expected
// becomes its decimal text, an empty string counts as missing. The same inputs must get the same answers, so the rules are kept
// here.
#ifndef SALLYPORT_TOOLS_JS_H
#define SALLYPORT_TOOLS_JS_H

#include <jansson.h>

#include "base/buf.h"
#include "base/span.h"

// Every number is a double, as in JavaScript. NULL when it is not JSON. The caller releases it.
json_t *js_parse(struct span text);

// All take NULL for "undefined".
bool js_truthy(const json_t *v);
double js_number(const json_t *v);

// Append to `out`, whose maximum must hold what the input's size allows.
void js_string(const json_t *v, struct buf *out); // String(v)
void js_quote(const json_t *v, struct buf *out);  // JSON.stringify(v)

// Appends `Received type number (5)` and the like, as Node's argument checks end.
void js_received(const json_t *v, struct buf *out);

#endif

// Pieces of answers written as text, and strings taken out of requests.
#ifndef SALLYPORT_CONTROL_TEXT_H
#define SALLYPORT_CONTROL_TEXT_H

#include "base/buf.h"
#include "base/json.h"

MUST_USE bool text_string(struct buf *out, const char *s); // a JSON string, NULL: null
MUST_USE bool text_time(struct buf *out, int64_t utc_us);  // an RFC 3339 string, 0: null

// ERR_INVALID unless `s` has min to max characters and no controls.
MUST_USE struct result text_check_name(struct span s, const char *what, size_t min, size_t max, struct err *e);

void text_replace(char **at, struct span s);

// A member that may be a string or null: absent keeps *at, null clears it.
MUST_USE struct result text_take_opt(const json_t *body, const char *name, size_t min, size_t max, char **at, struct err *e);

// A member's path for error messages, cut when it is too long.
#define TEXT_WHERE_MAX 128
void text_where(char out[TEXT_WHERE_MAX], const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif

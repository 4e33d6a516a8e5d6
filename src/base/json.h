// JSON over jansson: strict loading with limits, and typed access whose errors name the path.
//
// `json_t` values follow jansson's counting: functions here return borrowed references unless they say "new".
#ifndef SALLYPORT_BASE_JSON_H
#define SALLYPORT_BASE_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

static inline void json_decref_p(json_t **j)
{
	json_decref(*j);
}
#define AUTO_JSON __attribute__((cleanup(json_decref_p)))

#define JSON_DEPTH_MAX 128

// One JSON value of any type filling all of `text`: valid UTF-8, no duplicate member, no NUL in a string, nesting up to
// JSON_DEPTH_MAX. On success *out is new. ERR_INVALID names line and column; `what` names the document.
MUST_USE struct result json_parse(struct span text, const char *what, json_t **out, struct err *e);

// The same, and it must be an object.
MUST_USE struct result json_parse_object(struct span text, const char *what, json_t **out, struct err *e);

// As json_parse, for what other programs' JSON libraries write: an escaped NUL, or half of a surrogate pair (JavaScript's
// strings may end in one), which no text of ours can hold, becomes U+FFFD instead of making everything around it unreadable.
MUST_USE struct result json_parse_lossy(struct span text, const char *what, json_t **out, struct err *e);
MUST_USE struct result json_parse_object_lossy(struct span text, const char *what, json_t **out, struct err *e);

// Compact text, members in their order; a new heap string (length in *len if not NULL).
char *json_text(const json_t *j, size_t *len);

// RFC 8785 (JCS): members sorted by UTF-16 code units, no white space. Numbers must be integers within 2^53: ERR_INVALID.
MUST_USE struct result json_canonical(const json_t *j, struct buf *out, struct err *e);

// A member of the object `o`. The plain forms fail when it is absent or of another type; the `_opt` forms give the
// default when it is absent or null and fail on another type. `where` names the object in errors ("events[2]").
MUST_USE struct result json_get_string(const json_t *o, const char *where, const char *name, struct span *out, struct err *e);
MUST_USE struct result json_opt_string(const json_t *o, const char *where, const char *name, struct span *out, struct err *e);
MUST_USE struct result json_get_int(const json_t *o, const char *where, const char *name, int64_t *out, struct err *e);
MUST_USE struct result json_opt_int(const json_t *o, const char *where, const char *name, int64_t dflt, int64_t *out,
                                    struct err *e);
MUST_USE struct result json_opt_bool(const json_t *o, const char *where, const char *name, bool dflt, bool *out, struct err *e);
MUST_USE struct result json_get_object(const json_t *o, const char *where, const char *name, json_t **out, struct err *e);
MUST_USE struct result json_get_array(const json_t *o, const char *where, const char *name, json_t **out, struct err *e);
MUST_USE struct result json_opt_object(const json_t *o, const char *where, const char *name, json_t **out, struct err *e);
MUST_USE struct result json_opt_array(const json_t *o, const char *where, const char *name, json_t **out, struct err *e);

// A string value as a span, empty for anything else.
struct span json_span(const json_t *string);

// A new string from bytes that need not be UTF-8: what is not becomes U+FFFD, and NUL becomes U+FFFD too.
json_t *json_string_lossy(struct span bytes);

#endif

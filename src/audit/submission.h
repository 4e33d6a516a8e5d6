// What a client hands in, as it travels to the recorder: struct audit_entry without its payloads, as a JSON object.
//
// The client makes it fit (long texts for people are cut, bytes that are not UTF-8 replaced); the recorder refuses whatever
// does not, an unknown member included.
#ifndef SALLYPORT_AUDIT_SUBMISSION_H
#define SALLYPORT_AUDIT_SUBMISSION_H

#include "audit/audit.h"
#include "base/json.h"

#define SUBMISSION_MAX 49152 // bytes of JSON
#define SUBMISSION_UID_MAX 192
#define SUBMISSION_SESSION_MAX 128

// Appends the JSON text. ERR_INVALID when an identifier is too long or malformed: the action must not start then.
MUST_USE struct result submission_write(const struct audit_entry *a, struct buf *out, struct err *e);

// *out borrows from *hold, which is new. `arguments` and `result` come out empty: payloads travel beside it.
MUST_USE struct result submission_read(struct span text, json_t **hold, struct audit_entry *out, struct err *e);

#endif

// The channel's messages as both ends see them: a header, and bulk data in a memfd that nobody can change any more.
#ifndef SALLYPORT_TOOLS_WIRE_H
#define SALLYPORT_TOOLS_WIRE_H

#include "base/buf.h"
#include "base/err.h"
#include "tools/tools.h"

#define WIRE_HEADER_MAX 4096

enum wire_got {
	WIRE_NONE, // nothing is there now
	WIRE_MESSAGE,
	WIRE_END, // the other end is closed for good
};

// One message, without blocking. *bulk gets a descriptor that the caller owns, or -1. ERR_INVALID when it is too long or brings
// more than one descriptor (which are closed).
MUST_USE struct result wire_take(int channel, char header[WIRE_HEADER_MAX], size_t *len, int *bulk, enum wire_got *got,
                                 struct err *e);

// `bulk` is -1 or borrowed. *sent is false when the channel is full. ERR_UNREACHABLE when the other end is closed.
MUST_USE struct result wire_post(int channel, struct span header, int bulk, bool *sent, struct err *e);

// A new memfd, writable until wire_bulk_seal.
MUST_USE struct result wire_bulk_new(const char *name, int *fd, struct err *e);
MUST_USE struct result wire_bulk_seal(int fd, struct err *e);
MUST_USE struct result wire_bulk_make(const char *name, struct span content, int *fd, struct err *e);

// Reads all of a memfd into `out` (cleared first). ERR_INVALID when it is not a memfd, is not sealed against every change, or
// is larger than the buffer's maximum. It is read, never mapped.
MUST_USE struct result wire_bulk_read(int fd, struct buf *out, struct err *e);

bool wire_id_valid(struct span id);

// Requests and replies, each way. A decoded request's spans point into *json, which the caller releases; `input` is not set.
struct json_t;
MUST_USE struct result wire_request_encode(const struct tools_request *r, struct buf *out, struct err *e);
MUST_USE struct result wire_request_decode(struct span header, struct tools_request *r, struct json_t **json, struct err *e);
MUST_USE struct result wire_reply_encode(enum tools_reply_kind kind, const char *id, bool is_error, struct buf *out,
                                         struct err *e);

#endif

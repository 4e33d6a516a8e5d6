// Frames between an audit client and the recorder, both ways, over a unix stream socket.
//
// 24 bytes of header, numbers big-endian:
//
//	type u8 | kind u8 | zero u16 | text length u32 | id u64 | arguments length u32 | result length u32
//
// then the text, the arguments, the result. Sans-I/O: bytes in at any split, callbacks out. Payloads are not kept: they come
// through in pieces, so that a payload's size costs no memory.
#ifndef SALLYPORT_AUDIT_FRAME_H
#define SALLYPORT_AUDIT_FRAME_H

#include <stdint.h>

#include "audit/submission.h"
#include "base/buf.h"
#include "base/err.h"

#define FRAME_HEADER 24
#define FRAME_TEXT_MAX SUBMISSION_MAX
#define FRAME_PAYLOAD_MAX (64u << 20)

enum frame_type {
	FRAME_HELLO = 'H',   // client: text is {"role":…,"version":1}
	FRAME_ENTRY = 'E',   // client: text is a submission, with payloads; `id` comes back in the answer
	FRAME_WELCOME = 'W', // recorder: the answer to hello; text is {"origin":…}
	FRAME_STORED = 'A',  // recorder: entry `id` is on disk; text is its index in the log
	FRAME_REFUSED = 'R', // recorder: entry `id` is not stored; text says why, `kind` is an err_kind
	FRAME_ERROR = 'X',   // recorder: the client broke the protocol; the connection is closed
};

struct frame {
	enum frame_type type;
	enum err_kind kind;
	uint64_t id;
	uint32_t text_len, args_len, result_len;
};

// Appends the header; the caller appends text and payloads.
MUST_USE bool frame_put(struct buf *out, const struct frame *f);
// Appends a whole frame without payloads.
MUST_USE bool frame_put_text(struct buf *out, enum frame_type type, enum err_kind kind, uint64_t id, struct span text);

struct frame_reader {
	unsigned char header[FRAME_HEADER];
	size_t have; // of the header
	struct frame f;
	struct buf text;
	bool text_told;
	uint64_t args_left, result_left;
};

// What the reader tells, in this order for each frame: text, pieces of payload, end. Any may fail to stop the reading.
struct frame_events {
	struct result (*text)(void *arg, const struct frame *f, struct span text, struct err *e);
	struct result (*payload)(void *arg, bool is_result, struct span piece, struct err *e);
	struct result (*end)(void *arg, const struct frame *f, struct err *e);
};

void frame_reader_init(struct frame_reader *r);
void frame_reader_fini(struct frame_reader *r);

// Feeds bytes, of which *taken get used: all, unless `*pause` (may be NULL) was set by a callback, which stops the reading
// after the frame. A malformed frame is ERR_INVALID; the connection can't go on then.
MUST_USE struct result frame_feed(struct frame_reader *r, struct span bytes, const struct frame_events *on, void *arg,
                                  const bool *pause, size_t *taken, struct err *e);

#endif

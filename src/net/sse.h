// Server-sent events (WHATWG HTML, "Server-sent events"; managed-agents-api.md 2.11): a decoder that takes bytes as they come,
// and an encoder. Sans-I/O.
#ifndef SALLYPORT_NET_SSE_H
#define SALLYPORT_NET_SSE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct sse_decoder {
	struct buf line;  // the line being read
	struct buf data;  // data lines so far, joined by LF
	struct buf event; // the event field
	bool saw_cr, saw_any, started;
};

// `frame_max` bounds the bytes of one event.
void sse_decoder_init(struct sse_decoder *d, size_t frame_max);
void sse_decoder_fini(struct sse_decoder *d);

// Feeds bytes; calls `on_event` for each complete event with its name (empty when none was given) and data. Comments call it
// never. LF, CR and CRLF end lines; a leading BOM is skipped; an event without a data line is dropped. ERR_TOO_LARGE over
// frame_max: the stream is unusable then. `on_event` returns false to stop feeding at once (the call then returns OK); it may
// have freed the decoder then.
MUST_USE struct result sse_decoder_feed(struct sse_decoder *d, struct span bytes,
                                        bool (*on_event)(void *arg, struct span name, struct span data), void *arg,
                                        struct err *e);

// Appends "event: NAME\ndata: DATA\n\n". `data` must hold no CR or LF (compact JSON never does).
MUST_USE bool sse_encode(struct buf *out, const char *name, struct span data);

#endif

// One stream, and how a call is stored as exposed before its frame goes out on a worker's.
#ifndef SALLYPORT_CONTROL_STREAM_EXPOSE_H
#define SALLYPORT_CONTROL_STREAM_EXPOSE_H

#include "base/buf.h"
#include "control/stream.h"
#include "control/work_tx.h"

struct stream_frame { // waiting behind a call
	size_t len;
	int64_t seq;
	char call[ID_MAX]; // the call to be exposed first, or ""
};

struct stream {
	struct stream *next;
	struct stream_hub *hub;
	struct request *r;
	char session[ID_MAX];
	unsigned int previews;
	char epoch[EPOCH_MAX]; // "": no worker's; "*": an environment key's; else the lease
	struct stream_frame *waiting;
	size_t n_waiting;
	struct buf waiting_text;        // the frames, one behind the other
	struct stream_expose *exposing; // under way for the first of them
	struct loop *loop;
	struct loop_timer *ending; // it is being broken off
};

// Sends the frame of `ev` as soon as it may go, or never when the call belongs to another lease.
void stream_expose_send(struct control *c, struct stream *s, const struct effects_event *ev, struct span frame);
// The stream ends: what waits is dropped.
void stream_expose_drop(struct stream *s);

#endif

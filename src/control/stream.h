// Open event streams (managed-agents-api.md 2.11): who listens to which session, and what may be shown to whom.
//
// A worker's stream (sessions token or environment key) gets a call only after the call is stored as exposed to its lease; what
// follows waits behind it, so that the order is kept.
#ifndef SALLYPORT_CONTROL_STREAM_H
#define SALLYPORT_CONTROL_STREAM_H

#include "control/effects.h"
#include "control/request.h"

#define STREAM_KEEPALIVE_MS 15000

enum stream_preview { STREAM_PREVIEW_MESSAGE = 1, STREAM_PREVIEW_THINKING = 2 };

struct stream;
struct stream_hub;
struct stream_hub *stream_hub_new(struct control *c);
void stream_hub_free(struct stream_hub *hub); // the server must be stopped

// Answers `r` with the stream of that session from now on; takes `r`.
void stream_hub_open(struct stream_hub *hub, struct request *r, const char *session, unsigned int previews);

void stream_hub_publish(struct stream_hub *hub, const char *session, const struct effects_event *events, size_t n);
void stream_hub_preview(struct stream_hub *hub, const char *session, const char *type, const char *name, struct span json);
// Ends the streams that were opened with a token of that lease or an earlier one of the item.
void stream_hub_end_lease(struct stream_hub *hub, const char *work_id, int64_t epoch);
void stream_hub_end_stream(struct stream *s);
void stream_hub_end_session(struct stream_hub *hub, const char *session);
// Ends the streams of an environment key, or of any key of that id.
void stream_hub_end_key(struct stream_hub *hub, const char *key_id);
// Ends all: on drain.
void stream_hub_end_all(struct stream_hub *hub);

// For which lease a worker's stream of the session is open: "<work>:<epoch>", "*" for one with an environment key, "" for none.
void stream_hub_worker_epoch(const struct stream_hub *hub, const char *session, char out[EPOCH_MAX]);
size_t stream_hub_count(const struct stream_hub *hub);

#endif

// The replayed model: a Messages API server (POST /v1/messages, streaming and not) that plays a written scenario. It is no
// model and never says that it is one. Single-threaded, on the loop; any number of conversations at once.
#ifndef SALLYPORT_REPLAY_REPLAY_H
#define SALLYPORT_REPLAY_REPLAY_H

#include "net/loop.h"
#include "replay/scenario.h"

struct replay;

// Serves `scenario` (borrowed; must outlive it) on `listen`.
MUST_USE struct result replay_start(struct loop *l, const struct scenario *scenario, const char *listen, struct replay **out,
                                    struct err *e);
void replay_stop(struct replay **r);

// "127.0.0.1:8400" as bound.
const char *replay_address(const struct replay *r);

#endif

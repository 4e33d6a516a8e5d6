// Sends one answer over its exchange: at once or paced, whole or broken the way a fault says.
#ifndef SALLYPORT_REPLAY_PLAY_H
#define SALLYPORT_REPLAY_PLAY_H

#include "base/json.h"
#include "net/http_server.h"
#include "replay/scenario.h"

// Takes over the exchange and lives until its answer has ended or the client (or the server) is gone. `message` is read
// before the call returns; `fault` (NULL: none; not SCENARIO_STATUS) must outlive it.
void play_start(struct loop *l, struct http_exchange *x, const json_t *message, uint64_t pace_us,
                const struct scenario_fault *fault, bool stream);

#endif

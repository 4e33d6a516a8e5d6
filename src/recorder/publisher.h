// Turns what the journal holds into tiles and a signed checkpoint, on a thread of its own, a few times a second at most.
#ifndef SALLYPORT_RECORDER_PUBLISHER_H
#define SALLYPORT_RECORDER_PUBLISHER_H

#include "net/loop.h"
#include "recorder/batch.h"
#include "recorder/tiler.h"

struct publisher;

// Takes `tiler`. `published` is called on the loop after each attempt: `e` NULL when a new checkpoint is out.
struct publisher *publisher_start(struct loop *l, const char *dir, const struct note_signer *signer, struct tiler *tiler,
                                  void (*published)(void *arg, const struct err *e), void *arg);
void publisher_stop(struct publisher **p); // waits for a running attempt

// Entries that are on disk in the journal; takes the batch, sets *b NULL. In the order of their indices.
void publisher_add(struct publisher *p, struct batch **b);

void publisher_hurry(struct publisher *p);                                     // now, not in a while
void publisher_drain(struct publisher *p, void (*done)(void *arg), void *arg); // all that was added, one attempt; then `done`
uint64_t publisher_size(const struct publisher *p);                            // entries in the checkpoint

#endif

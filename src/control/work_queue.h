// The work queue's side on the loop: pollers that wait, workers that were seen, and the clock of leases and holds.
#ifndef SALLYPORT_CONTROL_WORK_QUEUE_H
#define SALLYPORT_CONTROL_WORK_QUEUE_H

#include "control/op.h"

#define WORK_QUEUE_BLOCK_MAX_MS 999
#define WORK_QUEUE_RECLAIM_DEFAULT_MS 5000
#define WORK_QUEUE_SEEN_MS 30000

struct work_clock;
struct work_queue;
struct work_queue *work_queue_new(struct control *c);
void work_queue_free(struct work_queue *q); // the server must be stopped
struct work_clock *work_queue_clock(const struct work_queue *q);

// So many items are in the environment's queue (claimed and unacknowledged ones too): wakes who waits.
void work_queue_changed(struct work_queue *q, const char *environment, int64_t queued);
// A lease or a hold may run out then (UTC us).
void work_queue_due(struct work_queue *q, int64_t utc_us);
// Reads from the store what was queued and leased before this process.
void work_queue_resume(struct work_queue *q);

// Claims an item for `r`, waiting up to `block_ms` (0: not at all). Takes `r`.
void work_queue_poll(struct work_queue *q, struct request *r, const char *environment, int64_t block_ms, int64_t reclaim_ms);

// Distinct workers that polled within WORK_QUEUE_SEEN_MS.
size_t work_queue_workers(struct work_queue *q, const char *environment);
// Answers every waiting poll with null: on drain.
void work_queue_end_polls(struct work_queue *q);

#endif

// The clock of leases and holds: one timer for the earliest, and a sweep when it fires.
#ifndef SALLYPORT_CONTROL_WORK_CLOCK_H
#define SALLYPORT_CONTROL_WORK_CLOCK_H

#include "control/control_state.h"

struct work_clock;
struct work_clock *work_clock_new(struct control *c);
void work_clock_free(struct work_clock *w);

// Something may run out then (UTC us).
void work_clock_due(struct work_clock *w, int64_t utc_us);

#endif

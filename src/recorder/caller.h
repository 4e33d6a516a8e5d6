// One connection to the recorder: its frames in, its answers out.
#ifndef SALLYPORT_RECORDER_CALLER_H
#define SALLYPORT_RECORDER_CALLER_H

#include <sys/socket.h>

#include "recorder/intake.h"

struct caller;

// Takes `fd`. `moved` is called from the loop after input was worked on and when the caller is over; it may free the caller.
struct caller *caller_start(struct loop *l, int fd, const struct ucred *peer, struct intake *in, const char *origin,
                            void (*moved)(void *arg, struct caller *c), void *arg);
void caller_free(struct caller **c);

void caller_answer(struct caller *c, uint64_t id, uint64_t index, const struct err *e); // only noted
void caller_settle(struct caller *c);       // sends what was noted, and goes on reading if it may
bool caller_over(const struct caller *c);   // it is to be freed
bool caller_counts(const struct caller *c); // it handed in entries in this rate interval
bool caller_rate_over(struct caller *c);    // a new interval begins; whether it had handed in any
void caller_close_input(struct caller *c);  // reads nothing any more

#endif

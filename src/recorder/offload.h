// A thread beside the loop that does one blocking job at a time, and tells the loop when it is done.
#ifndef SALLYPORT_RECORDER_OFFLOAD_H
#define SALLYPORT_RECORDER_OFFLOAD_H

#include "net/loop.h"

struct offload;

struct offload *offload_start(struct loop *l);
// Runs `job` on the thread, then `done` on the loop; both get `arg`. It must be idle. It is idle again when `done` is entered.
void offload_run(struct offload *o, void (*job)(void *arg), void (*done)(void *arg), void *arg);
bool offload_busy(const struct offload *o);
void offload_stop(struct offload **o); // waits for a running job; its `done` is not called

#endif

// The event loop: one thread, epoll. Descriptors, timers, children and signals; nothing on it may block.
//
// Every start returns a handle that lives until it is cancelled or (one-shot kinds) its callback is entered: a callback's
// owner clears its handle first. After a cancel the callback is never entered. Callbacks run only from loop_run, never
// before the starting call has returned.
#ifndef SALLYPORT_NET_LOOP_H
#define SALLYPORT_NET_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_child;
struct loop_signal;
struct loop_wake;

MUST_USE struct result loop_new(struct loop **out, struct err *e);
void loop_free(struct loop *l); // every handle must have been cancelled

// Runs until loop_stop.
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

// The time at which this turn began (CLOCK_MONOTONIC, ms).
uint64_t loop_now_ms(const struct loop *l);

// A descriptor, level-triggered; stays the caller's. `events` and the argument are EPOLLIN and EPOLLOUT; EPOLLERR and
// EPOLLHUP are reported as whichever of the two is watched. Watching nothing (0) is allowed.
// It must be pollable: not a regular file.
struct loop_fd *loop_fd_start(struct loop *l, int fd, uint32_t events, void (*ready)(void *arg, uint32_t events), void *arg);
void loop_fd_watch(struct loop_fd *h, uint32_t events);
void loop_fd_cancel(struct loop_fd **h); // NULL is fine; sets NULL. Cancel before closing the descriptor.

// One shot, after `ms` (0: in the next turn).
struct loop_timer *loop_timer_start(struct loop *l, uint64_t ms, void (*fired)(void *arg), void *arg);
void loop_timer_cancel(struct loop_timer **h);

// A child process, by pidfd. The callback gets what waitid tells: `code` CLD_EXITED with the exit status in `status`, or
// CLD_KILLED / CLD_DUMPED with the signal. The child is reaped before the callback. Cancelling does not kill or reap it.
struct loop_child *loop_child_start(struct loop *l, pid_t pid, void (*ended)(void *arg, int code, int status), void *arg);
void loop_child_cancel(struct loop_child **h);

// A signal, by signalfd, one handle for each; several that came before the callback count as one. Blocked in this thread from
// now on (and in children: reset it there).
struct loop_signal *loop_signal_start(struct loop *l, int signo, void (*caught)(void *arg), void *arg);
void loop_signal_cancel(struct loop_signal **h);

// How other threads reach the loop: loop_wake may be called from any thread, and the callback runs on the loop's, once for
// any number of calls before it.
struct loop_wake *loop_wake_start(struct loop *l, void (*woken)(void *arg), void *arg);
void loop_wake(struct loop_wake *h);
void loop_wake_cancel(struct loop_wake **h);

#endif

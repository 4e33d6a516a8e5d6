// A listening socket on the loop. It is watched while its owner has room and the process has descriptors: a socket that nobody
// can accept from stays readable, so watching it on would spin.
#ifndef SALLYPORT_NET_LISTENER_H
#define SALLYPORT_NET_LISTENER_H

#include <sys/socket.h>

#include "net/loop.h"

struct listener;

// Takes `fd`, which must not block. `incoming` is called from the loop when somebody waits; `name` stands in the log.
struct listener *listener_start(struct loop *l, int fd, const char *name, void (*incoming)(void *arg), void *arg);
void listener_stop(struct listener **x); // closes; NULL is fine

// The next connection, close-on-exec and not blocking, or -1: nobody waits, or the process has run out of descriptors or
// memory, and `incoming` comes again in a while. `peer` and `len` as of accept(2), NULL is fine.
int listener_accept(struct listener *x, struct sockaddr *peer, socklen_t *len);

// Whether the owner takes further connections; without room they wait in the kernel's backlog. At first there is.
void listener_room(struct listener *x, bool room);

#endif

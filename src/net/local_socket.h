// Unix sockets below data_dir/run: their addresses, binding them, and who is at the other end.
#ifndef SALLYPORT_NET_LOCAL_SOCKET_H
#define SALLYPORT_NET_LOCAL_SOCKET_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

// A path of any length: one that does not fit is named through its directory, which *dir then holds open (else -1) for as long
// as the address is used.
MUST_USE struct result local_socket_address(const char *path, struct sockaddr_un *out, int *dir, struct err *e);

// A listening socket, mode 0600, in the place of a stale one of a dead process; ERR_CONFLICT when a live process answers there,
// or when what stands there is no socket.
MUST_USE struct result local_socket_listen(const char *path, int *out, struct err *e);

// Whether the process at the other end runs as us or as root; *peer tells which it is.
bool local_socket_trusted(int fd, struct ucred *peer);

#endif

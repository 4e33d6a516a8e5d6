// Unix socket addresses and who is at the other end; shared by the admin server and its client.
#ifndef SALLYPORT_NET_ADMIN_ADDRESS_H
#define SALLYPORT_NET_ADMIN_ADDRESS_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/err.h"

#define ADMIN_LINE_MAX ((size_t)1 << 20)

// A path of any length: one that does not fit is named through its directory, which *dir then holds open (else -1) for as long
// as the address is used.
MUST_USE struct result admin_address_of(const char *path, struct sockaddr_un *out, int *dir, struct err *e);

// Whether the process at the other end runs as us or as root.
bool admin_address_peer_trusted(int fd, uid_t *uid);

#endif

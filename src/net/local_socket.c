#include "net/local_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct result admin_address_of(const char *path, struct sockaddr_un *out, int *dir, struct err *e)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	*dir = -1;
	size_t room = sizeof(out->sun_path), len = strlen(path);
	if (len < room) {
		memcpy(out->sun_path, path, len);
		return OK;
	}
	const char *slash = strrchr(path, '/');
	if (slash == NULL)
		return err_set(e, ERR_INVALID, "%s: too long for a socket's name", path);
	AUTO_FREE char *parent = span_dup(span_from(path, (size_t)(slash - path)));
	AUTO_FD int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "%s", parent);
	int n = snprintf(out->sun_path, room, "/proc/self/fd/%d%s", fd, slash);
	if (n < 0 || (size_t)n >= room)
		return err_set(e, ERR_INVALID, "%s: too long for a socket's name", path);
	*dir = STEAL_FD(fd);
	return OK;
}

bool admin_address_peer_trusted(int fd, uid_t *uid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	*uid = peer.uid;
	return peer.uid == geteuid() || peer.uid == 0;
}

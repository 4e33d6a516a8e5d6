#include "net/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct result local_socket_address(const char *path, struct sockaddr_un *out, int *dir, struct err *e)
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

// Whether somebody listens there; a socket that nobody does is removed.
static struct result make_way(const char *path, const struct sockaddr_un *a, struct err *e)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? OK : err_sys(e, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_CONFLICT, "%s: exists and is not a socket; move it away", path);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN)
		return err_set(e, ERR_CONFLICT, "%s: another process serves it; stop that one first", path);
	if (errno != ECONNREFUSED && errno != ENOENT)
		return err_sys(e, "%s", path);
	return unlink(path) == 0 || errno == ENOENT ? OK : err_sys(e, "%s: remove the stale socket", path);
}

struct result local_socket_listen(const char *path, int *out, struct err *e)
{
	struct sockaddr_un a;
	AUTO_FD int dir = -1;
	TRY(local_socket_address(path, &a, &dir, e));
	TRY(make_way(path, &a, e));
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	// The mode given to the descriptor becomes the file's, so it is never there with a wider one.
	if (fd < 0 || fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 128) != 0)
		return err_sys(e, "%s: bind", path);
	*out = STEAL_FD(fd);
	return OK;
}

bool local_socket_trusted(int fd, struct ucred *peer)
{
	socklen_t len = sizeof(*peer);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len) == 0 && (peer->uid == geteuid() || peer->uid == 0);
}

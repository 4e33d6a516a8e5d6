#include "recorder/desk.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "recorder/caller.h"

struct desk {
	struct loop *loop;
	int fd;
	struct loop_fd *watch;
	struct loop_timer *rate;
	struct intake *intake;
	const char *origin;
	size_t n;
	struct caller *callers[DESK_CALLERS_MAX];
};

static struct result address_of(const char *path, struct sockaddr_un *a, struct err *e)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a->sun_path))
		return err_set(e, ERR_INVALID, "%s: a socket's path has at most %zu bytes; use a shorter data_dir", path,
		               sizeof(a->sun_path) - 1);
	memcpy(a->sun_path, path, strlen(path) + 1);
	return OK;
}

// A socket that a dead process left behind is removed.
static struct result clear_stale(const struct sockaddr_un *a, struct err *e)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
		return err_set(e, ERR_CONFLICT, "%s: a recorder is running there already", a->sun_path);
	if (errno == ENOENT)
		return OK;
	if (errno != ECONNREFUSED)
		return err_sys(e, "%s", a->sun_path);
	return unlink(a->sun_path) == 0 ? OK : err_sys(e, "%s: remove", a->sun_path);
}

struct result desk_bind(const char *path, int *out, struct err *e)
{
	struct sockaddr_un a;
	TRY(address_of(path, &a, e));
	TRY(clear_stale(&a, e));
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	mode_t before = umask(0177);
	int r = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	umask(before);
	if (r != 0 || listen(fd, 128) != 0)
		return err_sys(e, "%s: listen", path);
	*out = STEAL_FD(fd);
	return OK;
}

static void forget(struct desk *d, size_t i)
{
	caller_free(&d->callers[i]);
	d->callers[i] = d->callers[--d->n];
}

static void rate_over(void *arg)
{
	struct desk *d = arg;
	d->rate = NULL;
	bool any = false;
	for (size_t i = 0; i < d->n; i++)
		any = caller_rate_over(d->callers[i]) || any;
	desk_settled(d);
	if (any && d->rate == NULL)
		d->rate = loop_timer_start(d->loop, DESK_RATE_MS, rate_over, d);
}

// A caller took something in, or has ended.
static void caller_moved(void *arg, struct caller *c)
{
	struct desk *d = arg;
	intake_flush(d->intake);
	if (d->rate == NULL && caller_counts(c))
		d->rate = loop_timer_start(d->loop, DESK_RATE_MS, rate_over, d);
	for (size_t i = 0; i < d->n; i++) {
		if (d->callers[i] == c && caller_over(c))
			forget(d, i);
	}
}

static bool peer_ok(int fd, struct ucred *peer)
{
	socklen_t n = sizeof(*peer);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &n) == 0 && (peer->uid == geteuid() || peer->uid == 0);
}

static void incoming(void *arg, uint32_t events)
{
	struct desk *d = arg;
	struct ucred peer;
	(void)events;
	AUTO_FD int fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (!peer_ok(fd, &peer)) {
		log_warn("caller.refused", "uid=%u reason=\"not the recorder's user\"", (unsigned)peer.uid);
		return;
	}
	if (d->n == DESK_CALLERS_MAX) {
		log_warn("caller.refused", "pid=%d reason=\"too many callers\"", (int)peer.pid);
		return;
	}
	d->callers[d->n++] = caller_start(d->loop, STEAL_FD(fd), &peer, d->intake, d->origin, caller_moved, d);
}

struct desk *desk_start(struct loop *l, int fd, const char *origin)
{
	struct desk *d = NEW(struct desk);
	d->loop = l;
	d->fd = fd;
	d->origin = origin;
	return d;
}

void desk_serve(struct desk *d, struct intake *in)
{
	d->intake = in;
	d->watch = loop_fd_start(d->loop, d->fd, EPOLLIN, incoming, d);
}

void desk_close(struct desk *d)
{
	loop_fd_cancel(&d->watch);
	for (size_t i = 0; i < d->n; i++)
		caller_close_input(d->callers[i]);
}

void desk_stop(struct desk **d)
{
	if (*d == NULL)
		return;
	loop_timer_cancel(&(*d)->rate);
	loop_fd_cancel(&(*d)->watch);
	while ((*d)->n > 0)
		forget(*d, (*d)->n - 1);
	fd_close(&(*d)->fd);
	free(*d);
	*d = NULL;
}

size_t desk_callers(const struct desk *d)
{
	return d->n;
}

void desk_answered(struct caller *caller, uint64_t id, uint64_t index, const struct err *e)
{
	caller_answer(caller, id, index, e);
}

void desk_settled(void *arg)
{
	struct desk *d = arg;
	for (size_t i = d->n; i-- > 0;) {
		caller_settle(d->callers[i]);
		if (caller_over(d->callers[i]))
			forget(d, i);
	}
	if (d->intake != NULL)
		intake_flush(d->intake);
}

#include "recorder/desk.h"

#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/local_socket.h"
#include "recorder/caller.h"

struct desk {
	struct loop *loop;
	int fd; // -1 once it is the listener's
	char *path;
	struct listener *listener;
	struct loop_timer *rate;
	struct intake *intake;
	const char *origin;
	size_t n;
	struct caller *callers[DESK_CALLERS_MAX];
};

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

static void incoming(void *arg)
{
	struct desk *d = arg;
	struct ucred peer = {0};
	AUTO_FD int fd = listener_accept(d->listener, NULL, NULL);
	if (fd < 0)
		return;
	if (!local_socket_trusted(fd, &peer)) {
		log_warn("caller.refused", "uid=%u reason=\"not the recorder's user\"", (unsigned)peer.uid);
		return;
	}
	if (d->n == DESK_CALLERS_MAX) {
		log_warn("caller.refused", "pid=%d reason=\"too many callers\"", (int)peer.pid);
		return;
	}
	d->callers[d->n++] = caller_start(d->loop, STEAL_FD(fd), &peer, d->intake, d->origin, caller_moved, d);
}

struct result desk_start(struct loop *l, const char *path, const char *origin, struct desk **out, struct err *e)
{
	int fd;
	TRY(local_socket_listen(path, &fd, e));
	struct desk *d = NEW(struct desk);
	d->loop = l;
	d->fd = fd;
	d->path = mem_strdup(path);
	d->origin = origin;
	*out = d;
	return OK;
}

void desk_serve(struct desk *d, struct intake *in)
{
	d->intake = in;
	d->listener = listener_start(d->loop, STEAL_FD(d->fd), d->path, incoming, d);
}

// The name goes while we still listen, so that it can't be a successor's.
static void stop_listening(struct desk *d)
{
	if (d->path != NULL)
		unlink(d->path);
	free(STEAL(d->path));
	listener_stop(&d->listener);
	fd_close(&d->fd);
}

void desk_close(struct desk *d)
{
	stop_listening(d);
	for (size_t i = 0; i < d->n; i++)
		caller_close_input(d->callers[i]);
}

void desk_stop(struct desk **d)
{
	if (*d == NULL)
		return;
	stop_listening(*d);
	loop_timer_cancel(&(*d)->rate);
	while ((*d)->n > 0)
		forget(*d, (*d)->n - 1);
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

#include "net/listener.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define PAUSE_MS 100
#define TRIES 64 // connections that were gone before they were accepted, passed over at once

struct listener {
	struct loop *loop;
	int fd;
	char *name;
	struct loop_fd *watch;
	struct loop_timer *pause; // the process had run out of descriptors
	bool room;
	void (*incoming)(void *arg);
	void *arg;
};

static void update(struct listener *x)
{
	loop_fd_watch(x->watch, x->room && x->pause == NULL ? EPOLLIN : 0);
}

static void ready(void *arg, uint32_t events)
{
	struct listener *x = arg;
	(void)events;
	x->incoming(x->arg);
}

static void pause_over(void *arg)
{
	struct listener *x = arg;
	x->pause = NULL;
	update(x);
}

struct listener *listener_start(struct loop *l, int fd, const char *name, void (*incoming)(void *arg), void *arg)
{
	struct listener *x = NEW(struct listener);
	*x = (struct listener){.loop = l, .fd = fd, .name = mem_strdup(name), .room = true, .incoming = incoming, .arg = arg};
	x->watch = loop_fd_start(l, fd, EPOLLIN, ready, x);
	return x;
}

void listener_stop(struct listener **xp)
{
	struct listener *x = STEAL(*xp);
	if (x == NULL)
		return;
	loop_timer_cancel(&x->pause);
	loop_fd_cancel(&x->watch);
	fd_close(&x->fd);
	free(x->name);
	free(x);
}

int listener_accept(struct listener *x, struct sockaddr *peer, socklen_t *len)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = accept4(x->fd, peer, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (errno == EAGAIN)
			return -1;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("listener.paused", "listener=%s error=%s", x->name, strerror(errno));
			if (x->pause == NULL)
				x->pause = loop_timer_start(x->loop, PAUSE_MS, pause_over, x);
			update(x);
			return -1;
		}
		// Everything else tells of that one connection (accept(2)): the next may be fine.
	}
	return -1;
}

void listener_room(struct listener *x, bool room)
{
	x->room = room;
	update(x);
}

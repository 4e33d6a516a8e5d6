#include "net/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/loop_internal.h"

#define BATCH 256

struct loop_fd {
	struct loop *loop;
	int fd;
	uint32_t events;
	bool dead;
	void (*ready)(void *arg, uint32_t events);
	void *arg;
	struct loop_fd *next_dead;
};

struct result loop_new(struct loop **out, struct err *e)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "epoll_create1");
	struct loop *l = NEW(struct loop);
	l->epoll = fd;
	l->now_us = clock_mono_us();
	*out = l;
	return OK;
}

static void bury_dead(struct loop *l)
{
	while (l->dead != NULL) {
		struct loop_fd *h = l->dead;
		l->dead = h->next_dead;
		free(h);
	}
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	BUG_ON(l->running || l->live != 0);
	bury_dead(l);
	fd_close(&l->epoll);
	free(l->heap);
	free(l);
}

uint64_t loop_now_ms(const struct loop *l)
{
	return l->now_us / 1000;
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
}

static void dispatch(struct loop *l, const struct epoll_event *events, int n)
{
	for (int i = 0; i < n && !l->stopping; i++) {
		struct loop_fd *h = events[i].data.ptr;
		// An earlier callback of this batch may have cancelled the handle or changed what it watches.
		uint32_t ready = events[i].events & (EPOLLERR | EPOLLHUP) ? h->events : events[i].events & h->events;
		if (!h->dead && ready != 0)
			h->ready(h->arg, ready);
	}
}

void loop_run(struct loop *l)
{
	BUG_ON(l->running);
	l->running = true;
	while (!l->stopping) {
		struct epoll_event events[BATCH];
		int n = epoll_wait(l->epoll, events, BATCH, loop_timer_wait(l));
		BUG_ON(n < 0 && errno != EINTR);
		l->now_us = clock_mono_us();
		uint64_t seq = l->next_seq;
		// Descriptors first: after a stall of ours, bytes that came in time count before the deadline they met.
		dispatch(l, events, n);
		loop_timer_run(l, seq);
		bury_dead(l);
	}
	l->running = l->stopping = false;
}

// EPOLLERR and EPOLLHUP are told whatever is watched, so a descriptor that watches nothing must leave the set.
static void set_interest(struct loop_fd *h, uint32_t before)
{
	int op = before == 0 ? EPOLL_CTL_ADD : h->events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
	struct epoll_event ev = {.events = h->events, .data.ptr = h};
	BUG_ON(epoll_ctl(h->loop->epoll, op, h->fd, &ev) != 0);
}

struct loop_fd *loop_fd_start(struct loop *l, int fd, uint32_t events, void (*ready)(void *arg, uint32_t events), void *arg)
{
	struct loop_fd *h = NEW(struct loop_fd);
	*h = (struct loop_fd){.loop = l, .fd = fd, .ready = ready, .arg = arg};
	l->live++;
	loop_fd_watch(h, events);
	return h;
}

void loop_fd_watch(struct loop_fd *h, uint32_t events)
{
	BUG_ON((events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0);
	uint32_t before = h->events;
	h->events = events;
	if (before != events)
		set_interest(h, before);
}

void loop_fd_cancel(struct loop_fd **hp)
{
	struct loop_fd *h = STEAL(*hp);
	if (h == NULL)
		return;
	loop_fd_watch(h, 0);
	h->dead = true;
	h->next_dead = h->loop->dead;
	h->loop->dead = h;
	h->loop->live--;
}

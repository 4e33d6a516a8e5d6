// Children, signals and wake-ups: each is a descriptor of its own on the loop.
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/loop_internal.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define POLL_MS 20

struct loop_child {
	struct loop *loop;
	pid_t pid;
	int pidfd;
	struct loop_fd *watch;
	struct loop_timer *poll; // instead of `watch`, while no descriptor is to be had
	void (*ended)(void *arg, int code, int status);
	void *arg;
};

static void watch_child(struct loop_child *h);

static void reap(struct loop_child *h)
{
	siginfo_t si = {0};
	int r;
	do
		r = waitid(P_PID, (id_t)h->pid, &si, WEXITED | WNOHANG);
	while (r != 0 && errno == EINTR);
	BUG_ON(r != 0); // ECHILD: not our child, or reaped behind our back
	if (si.si_pid == 0) {
		watch_child(h);
		return;
	}
	void (*ended)(void *, int, int) = h->ended;
	void *arg = h->arg;
	loop_child_cancel(&h);
	ended(arg, si.si_code, si.si_status);
}

static void child_ready(void *arg, uint32_t events)
{
	(void)events;
	reap(arg);
}

static void child_polled(void *arg)
{
	struct loop_child *h = arg;
	h->poll = NULL;
	reap(h);
}

static void watch_child(struct loop_child *h)
{
	if (h->watch != NULL)
		return;
	h->pidfd = (int)syscall(SYS_pidfd_open, h->pid, 0);
	if (h->pidfd >= 0) {
		h->watch = loop_fd_start(h->loop, h->pidfd, EPOLLIN, child_ready, h);
		return;
	}
	// A child's end must be seen also when this process has run out of descriptors.
	BUG_ON(errno != EMFILE && errno != ENFILE && errno != ENOMEM);
	h->poll = loop_timer_start(h->loop, POLL_MS, child_polled, h);
}

struct loop_child *loop_child_start(struct loop *l, pid_t pid, void (*ended)(void *arg, int code, int status), void *arg)
{
	struct loop_child *h = NEW(struct loop_child);
	*h = (struct loop_child){.loop = l, .pid = pid, .pidfd = -1, .ended = ended, .arg = arg};
	watch_child(h);
	return h;
}

void loop_child_cancel(struct loop_child **hp)
{
	struct loop_child *h = STEAL(*hp);
	if (h == NULL)
		return;
	loop_fd_cancel(&h->watch);
	loop_timer_cancel(&h->poll);
	fd_close(&h->pidfd);
	free(h);
}

struct loop_signal {
	int fd;
	struct loop_fd *watch;
	void (*caught)(void *arg);
	void *arg;
};

static void signal_ready(void *arg, uint32_t events)
{
	(void)events;
	struct loop_signal *h = arg;
	struct signalfd_siginfo info;
	bool any = false;
	while (read(h->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		any = true;
	if (any)
		h->caught(h->arg);
}

struct loop_signal *loop_signal_start(struct loop *l, int signo, void (*caught)(void *arg), void *arg)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signo);
	BUG_ON(pthread_sigmask(SIG_BLOCK, &set, NULL) != 0);
	struct loop_signal *h = NEW(struct loop_signal);
	*h = (struct loop_signal){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .caught = caught, .arg = arg};
	BUG_ON(h->fd < 0);
	h->watch = loop_fd_start(l, h->fd, EPOLLIN, signal_ready, h);
	return h;
}

void loop_signal_cancel(struct loop_signal **hp)
{
	struct loop_signal *h = STEAL(*hp);
	if (h == NULL)
		return;
	loop_fd_cancel(&h->watch);
	fd_close(&h->fd);
	free(h);
}

struct loop_wake {
	int fd;
	struct loop_fd *watch;
	void (*woken)(void *arg);
	void *arg;
};

static void wake_ready(void *arg, uint32_t events)
{
	(void)events;
	struct loop_wake *h = arg;
	uint64_t count;
	if (read(h->fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
		h->woken(h->arg);
}

struct loop_wake *loop_wake_start(struct loop *l, void (*woken)(void *arg), void *arg)
{
	struct loop_wake *h = NEW(struct loop_wake);
	*h = (struct loop_wake){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .woken = woken, .arg = arg};
	BUG_ON(h->fd < 0);
	h->watch = loop_fd_start(l, h->fd, EPOLLIN, wake_ready, h);
	return h;
}

void loop_wake(struct loop_wake *h)
{
	uint64_t one = 1;
	ssize_t w;
	do
		w = write(h->fd, &one, sizeof(one));
	while (w < 0 && errno == EINTR);
	BUG_ON(w < 0 && errno != EAGAIN); // EAGAIN: the counter is full, so the wake-up is under way
}

void loop_wake_cancel(struct loop_wake **hp)
{
	struct loop_wake *h = STEAL(*hp);
	if (h == NULL)
		return;
	loop_fd_cancel(&h->watch);
	fd_close(&h->fd);
	free(h);
}

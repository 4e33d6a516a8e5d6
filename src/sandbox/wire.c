#include "sandbox/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct queued {
	struct queued *next;
	int fds[WIRE_FDS_MAX];
	size_t n_fds, len;
	char bytes[];
};

struct wire {
	struct loop *loop;
	int fd;
	struct loop_fd *watch;
	struct queued *first, **last;
	size_t queued;
	void (*message)(void *arg, const void *bytes, size_t n, int *fds, size_t n_fds);
	void (*closed)(void *arg);
	void *arg;
	bool *freed; // set while a callback runs: tells it that the wire went away
	bool dead;
	char *input;
};

struct result wire_pair(int fds[2], struct err *e)
{
	int size = WIRE_MESSAGE_MAX + 4096;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return err_sys(e, "socketpair");
	// What the kernel does not grant is found out by wire_send.
	for (int i = 0; i < 2; i++)
		(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return OK;
}

static ssize_t send_message(int fd, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n_parts};
	if (n_fds > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = &control.head;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

static void queued_free(struct queued *q)
{
	for (size_t i = 0; i < q->n_fds; i++)
		fd_close(&q->fds[i]);
	free(q);
}

static bool enqueue(struct wire *w, const struct iovec *parts, size_t n_parts, size_t len, const int *fds, size_t n_fds)
{
	if (w->queued >= WIRE_QUEUE_MAX)
		return false;
	struct queued *q = mem_alloc(sizeof(*q) + len);
	*q = (struct queued){.len = len};
	char *p = q->bytes;
	for (size_t i = 0; i < n_parts; i++) {
		if (parts[i].iov_len > 0)
			memcpy(p, parts[i].iov_base, parts[i].iov_len);
		p += parts[i].iov_len;
	}
	for (; q->n_fds < n_fds; q->n_fds++) {
		q->fds[q->n_fds] = fcntl(fds[q->n_fds], F_DUPFD_CLOEXEC, 0);
		if (q->fds[q->n_fds] < 0) {
			queued_free(q);
			return false;
		}
	}
	*w->last = q;
	w->last = &q->next;
	w->queued++;
	loop_fd_watch(w->watch, EPOLLIN | EPOLLOUT);
	return true;
}

bool wire_send(struct wire *w, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds)
{
	BUG_ON(n_fds > WIRE_FDS_MAX);
	size_t len = 0;
	for (size_t i = 0; i < n_parts; i++)
		len += parts[i].iov_len;
	if (w->dead || len > WIRE_MESSAGE_MAX)
		return false;
	if (w->first == NULL && send_message(w->fd, parts, n_parts, fds, n_fds) >= 0)
		return true;
	if (w->first == NULL && errno != EAGAIN && errno != ETOOMANYREFS)
		return false;
	return enqueue(w, parts, n_parts, len, fds, n_fds);
}

void wire_shutdown(struct wire *w)
{
	(void)shutdown(w->fd, SHUT_RDWR); // a socket that is closed already is
}

static void flush(struct wire *w)
{
	while (w->first != NULL) {
		struct queued *q = w->first;
		struct iovec part = {q->bytes, q->len};
		if (send_message(w->fd, &part, 1, q->fds, q->n_fds) < 0 && errno == EAGAIN)
			return;
		w->first = q->next; // on another error the message is lost, and reading tells that the other end is gone
		if (w->first == NULL)
			w->last = &w->first;
		w->queued--;
		queued_free(q);
	}
	loop_fd_watch(w->watch, EPOLLIN);
}

static ssize_t receive(int fd, void *bytes, size_t cap, int *fds, size_t *n_fds)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = {bytes, cap};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	*n_fds = 0;
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		*n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *n_fds * sizeof(int));
	}
	if (n > 0 && (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		while (*n_fds > 0)
			fd_close(&fds[--*n_fds]);
		return 0; // a message this long is none of ours
	}
	return n;
}

static void die(struct wire *w)
{
	w->dead = true;
	loop_fd_watch(w->watch, 0);
	w->closed(w->arg);
}

static void ready(void *arg, uint32_t events)
{
	struct wire *w = arg;
	bool freed = false;
	if ((events & EPOLLOUT) != 0)
		flush(w);
	// A few messages a turn, so that one busy socket does not keep the others waiting.
	for (int i = 0; i < 16; i++) {
		int fds[WIRE_FDS_MAX];
		size_t n_fds;
		ssize_t n = receive(w->fd, w->input, WIRE_MESSAGE_MAX, fds, &n_fds);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			die(w);
			return;
		}
		w->freed = &freed;
		w->message(w->arg, w->input, (size_t)n, fds, n_fds);
		while (n_fds > 0)
			fd_close(&fds[--n_fds]);
		if (freed)
			return;
		w->freed = NULL;
	}
}

struct wire *wire_new(struct loop *l, int fd, void (*message)(void *arg, const void *bytes, size_t n, int *fds, size_t n_fds),
                      void (*closed)(void *arg), void *arg)
{
	struct wire *w = NEW(struct wire);
	*w = (struct wire){.loop = l, .fd = fd, .message = message, .closed = closed, .arg = arg};
	w->last = &w->first;
	w->input = mem_alloc(WIRE_MESSAGE_MAX);
	BUG_ON(failed(fd_set_nonblock(fd, NULL)));
	w->watch = loop_fd_start(l, fd, EPOLLIN, ready, w);
	return w;
}

void wire_free(struct wire *w)
{
	if (w == NULL)
		return;
	if (w->freed != NULL)
		*w->freed = true;
	loop_fd_cancel(&w->watch);
	while (w->first != NULL) {
		struct queued *q = w->first;
		w->first = q->next;
		queued_free(q);
	}
	fd_close(&w->fd);
	free(w->input);
	free(w);
}

struct result wire_receive(int fd, void *bytes, size_t cap, size_t *n, int timeout_ms, struct err *e)
{
	struct pollfd p = {fd, POLLIN, 0};
	int fds[WIRE_FDS_MAX];
	size_t n_fds;
	int rc;
	do
		rc = poll(&p, 1, timeout_ms);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return err_set(e, ERR_UNREACHABLE, "no answer within %d ms", timeout_ms);
	ssize_t got = receive(fd, bytes, cap, fds, &n_fds);
	while (got >= 0 && n_fds > 0)
		fd_close(&fds[--n_fds]);
	if (got < 0)
		return err_sys(e, "receive");
	if (got == 0)
		return err_set(e, ERR_UNREACHABLE, "the other end closed");
	*n = (size_t)got;
	return OK;
}

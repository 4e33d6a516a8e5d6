#include "sandbox/spawner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sandbox/spawner_serve.h"
#include "sandbox/wire.h"

#define READY_MS 20000
#define STOP_MS 15000

struct result spawner_start(const struct spawner_opts *opts, struct spawner *out, struct err *e)
{
	int ends[2];
	size_t n;
	TRY(wire_pair(ends, e));
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		close(ends[0]);
		spawner_serve(opts, parent, ends[1]);
	}
	fd_close(&ends[1]);
	if (pid < 0) {
		fd_close(&ends[0]);
		return err_sys(e, "fork the spawner");
	}
	*out = (struct spawner){.pid = pid, .fd = ends[0]};
	struct spawner_word *word = NEW(struct spawner_word);
	struct result r = wire_receive(out->fd, word, sizeof(*word), &n, READY_MS, e);
	if (!failed(r) && n == sizeof(*word) && word->err.kind == ERR_NONE)
		out->report = mem_strdup(word->report);
	else if (!failed(r))
		r = err_set(e, n == sizeof(*word) ? word->err.kind : ERR_SYSTEM, "no sandboxes on this machine: %.400s",
		            word->err.msg);
	else
		(void)err_prefix(e, "start the spawner");
	free(word);
	if (failed(r))
		spawner_stop(out);
	return r;
}

struct result spawner_connect(const struct spawner *s, int *client_fd, struct err *e)
{
	int ends[2];
	struct wire_head head = {.kind = WIRE_CLIENT};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	TRY(wire_pair(ends, e));
	struct iovec part = {&head, sizeof(head)};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &ends[1], sizeof(int));
	ssize_t sent = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
	struct result r = sent == (ssize_t)sizeof(head) ? OK : err_sys(e, "connect to the spawner");
	fd_close(&ends[1]);
	if (failed(r))
		fd_close(&ends[0]);
	else
		*client_fd = ends[0];
	return r;
}

// Told by the end of its socket, the spawner ends its sandboxes and then itself. One that does not is killed, and its
// sandboxes' inits with it.
void spawner_stop(struct spawner *s)
{
	fd_close(&s->fd);
	if (s->pid > 0) {
		AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
		struct pollfd p = {pidfd, POLLIN, 0};
		int rc;
		do
			rc = poll(&p, 1, STOP_MS);
		while (rc < 0 && errno == EINTR);
		if (rc != 1)
			kill(s->pid, SIGKILL);
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	s->pid = 0;
	free(STEAL(s->report));
}

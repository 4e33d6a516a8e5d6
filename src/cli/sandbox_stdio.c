#include "cli/sandbox_stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

// Bytes from one descriptor to another. `to` is ours and does not block where `buffered`; else it is the person's.
struct relay {
	struct loop *loop;
	int from, to;
	bool owns_to;
	struct loop_fd *in, *out;
	char bytes[8192];
	size_t len, sent;
};

struct sandbox_stdio {
	struct loop *loop;
	int theirs[3]; // the program's ends
	bool own[3];   // made here
	int master;    // of its terminal; -1: it has none
	int pipes[3];  // our ends of pipes
	struct relay relays[4];
	unsigned n_relays;
	struct loop_signal *resized;
	struct termios before;
	bool raw;
};

static bool can_be_given(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return false;
	return S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

static void copy_size(struct sandbox_stdio *s)
{
	struct winsize size;
	for (int fd = 0; fd < 3; fd++) {
		if (isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0) {
			(void)ioctl(s->master, TIOCSWINSZ, &size);
			return;
		}
	}
}

static void resized(void *arg)
{
	copy_size(arg);
}

static struct result make_terminal(struct sandbox_stdio *s, int *slave, struct err *e)
{
	struct termios modes;
	bool known = tcgetattr(0, &modes) == 0;
	if (openpty(&s->master, slave, NULL, known ? &modes : NULL, NULL) != 0)
		return err_sys(e, "a terminal for the program");
	(void)fcntl(s->master, F_SETFD, FD_CLOEXEC);
	(void)fcntl(*slave, F_SETFD, FD_CLOEXEC);
	copy_size(s);
	return fd_set_nonblock(s->master, e);
}

static struct result make_pipe(struct sandbox_stdio *s, int which, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, "pipe");
	s->theirs[which] = which == 0 ? ends[0] : ends[1];
	s->pipes[which] = which == 0 ? ends[1] : ends[0];
	s->own[which] = true;
	return fd_set_nonblock(s->pipes[which], e);
}

struct result sandbox_stdio_new(struct loop *l, struct sandbox_stdio **out, struct err *e)
{
	struct sandbox_stdio *s = NEW(struct sandbox_stdio);
	*s = (struct sandbox_stdio){.loop = l, .theirs = {-1, -1, -1}, .master = -1, .pipes = {-1, -1, -1}};
	int slave = -1;
	struct result r = OK;
	for (int i = 0; i < 3 && !failed(r); i++) {
		if (can_be_given(i)) {
			s->theirs[i] = i;
		} else if (!isatty(i)) {
			r = make_pipe(s, i, e);
		} else {
			r = slave < 0 ? make_terminal(s, &slave, e) : OK;
			s->theirs[i] = failed(r) ? -1 : fcntl(slave, F_DUPFD_CLOEXEC, 3);
			s->own[i] = true;
		}
	}
	fd_close(&slave);
	*out = s;
	if (failed(r))
		sandbox_stdio_finish(s);
	return r;
}

int sandbox_stdio_fd(const struct sandbox_stdio *s, int which)
{
	return s->theirs[which];
}

bool sandbox_stdio_terminal(const struct sandbox_stdio *s)
{
	return s->master >= 0;
}

static void relay_end(struct relay *r)
{
	loop_fd_cancel(&r->in);
	loop_fd_cancel(&r->out);
	if (r->owns_to)
		fd_close(&r->to);
}

// What was read, to where it goes. False when it can't go there for now.
static bool relay_write(struct relay *r)
{
	while (r->sent < r->len) {
		ssize_t n = write(r->to, r->bytes + r->sent, r->len - r->sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			relay_end(r);
			return true;
		}
		r->sent += (size_t)n;
	}
	r->len = r->sent = 0;
	return true;
}

static void relay_readable(void *arg, uint32_t events)
{
	struct relay *r = arg;
	(void)events;
	ssize_t n = read(r->from, r->bytes, sizeof(r->bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { // EIO is a terminal's way to say that nobody has its other end
		relay_end(r);
		return;
	}
	r->len = (size_t)n;
	r->sent = 0;
	if (!relay_write(r) && r->in != NULL) {
		loop_fd_watch(r->in, 0);
		loop_fd_watch(r->out, EPOLLOUT);
	}
}

static void relay_writable(void *arg, uint32_t events)
{
	struct relay *r = arg;
	(void)events;
	if (relay_write(r) && r->in != NULL) {
		loop_fd_watch(r->out, 0);
		loop_fd_watch(r->in, EPOLLIN);
	}
}

// `to` of a relay towards the program is ours; of one from it, the person's, which may block us and should.
static void relay_start(struct sandbox_stdio *s, int from, int to, bool to_program, bool owns_to)
{
	struct relay *r = &s->relays[s->n_relays++];
	*r = (struct relay){.loop = s->loop, .from = from, .to = to, .owns_to = owns_to};
	r->in = loop_fd_start(s->loop, from, EPOLLIN, relay_readable, r);
	if (to_program) {
		int twin = fcntl(to, F_DUPFD_CLOEXEC, 3); // the loop watches a descriptor once
		r->to = twin;
		r->owns_to = true;
		r->out = loop_fd_start(s->loop, twin, 0, relay_writable, r);
		if (owns_to)
			close(to);
	}
}

void sandbox_stdio_start(struct sandbox_stdio *s)
{
	for (int i = 0; i < 3; i++) {
		if (s->own[i])
			fd_close(&s->theirs[i]);
	}
	if (s->master >= 0) {
		int out = isatty(1) ? 1 : isatty(2) ? 2 : 0;
		relay_start(s, s->master, out, false, false);
		s->resized = loop_signal_start(s->loop, SIGWINCH, resized, s);
		if (isatty(0) && tcgetattr(0, &s->before) == 0) {
			struct termios raw = s->before;
			cfmakeraw(&raw);
			s->raw = tcsetattr(0, TCSANOW, &raw) == 0;
			relay_start(s, 0, s->master, true, false);
		}
	}
	if (s->pipes[0] >= 0)
		relay_start(s, 0, STEAL_FD(s->pipes[0]), true, true);
	for (int i = 1; i < 3; i++) {
		if (s->pipes[i] >= 0)
			relay_start(s, s->pipes[i], i, false, false);
	}
}

void sandbox_stdio_finish(struct sandbox_stdio *s)
{
	for (unsigned i = 0; i < s->n_relays; i++) {
		struct relay *r = &s->relays[i];
		// What the program wrote before its end is there already.
		while (r->in != NULL && r->out == NULL) {
			ssize_t n = read(r->from, r->bytes, sizeof(r->bytes));
			r->len = n > 0 ? (size_t)n : 0;
			r->sent = 0;
			if (n <= 0 || !relay_write(r))
				break;
		}
		relay_end(r);
	}
	loop_signal_cancel(&s->resized);
	if (s->raw)
		(void)tcsetattr(0, TCSANOW, &s->before);
	for (int i = 0; i < 3; i++) {
		if (s->own[i])
			fd_close(&s->theirs[i]);
		fd_close(&s->pipes[i]);
	}
	fd_close(&s->master);
	free(s);
}

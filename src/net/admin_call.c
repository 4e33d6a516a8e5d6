// The command line's half of the admin socket: one question, one answer, blocking.
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/admin.h"
#include "net/local_socket.h"

static struct result dial(const char *path, int *out, struct err *e)
{
	struct sockaddr_un a;
	AUTO_FD int dir = -1;
	TRY(local_socket_address(path, &a, &dir, e));
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ECONNREFUSED)
			return err_set(e, ERR_UNREACHABLE, "nobody answers at %s; is it running? Start it with: sallyport up",
			               path);
		if (errno == EAGAIN)
			return err_set(e, ERR_UNREACHABLE, "%s: too many are waiting there; try again", path);
		if (errno == EACCES || errno == EPERM)
			return err_set(e, ERR_DENIED, "%s: not yours; run this as the user it runs as, or as root", path);
		return err_sys(e, "%s", path);
	}
	struct ucred peer = {0};
	if (!local_socket_trusted(fd, &peer) && geteuid() != 0)
		return err_set(e, ERR_DENIED, "%s: served by another user (uid %u)", path, (unsigned)peer.uid);
	*out = STEAL_FD(fd);
	return OK;
}

static struct result wait_for(int fd, short events, uint64_t deadline_ms, const char *path, struct err *e)
{
	for (;;) {
		uint64_t now = clock_mono_ms();
		if (now >= deadline_ms)
			return err_set(e, ERR_UNREACHABLE, "%s: no answer in time", path);
		uint64_t left = deadline_ms - now;
		struct pollfd p = {.fd = fd, .events = events};
		int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return OK;
		if (n < 0 && errno != EINTR)
			return err_sys(e, "poll");
	}
}

static struct result ask(int fd, struct span text, uint64_t deadline_ms, const char *path, struct err *e)
{
	while (text.len > 0) {
		TRY(wait_for(fd, POLLOUT, deadline_ms, path, e));
		ssize_t n = send(fd, text.data, text.len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_set(e, ERR_UNREACHABLE, "%s: it closed the connection", path);
		text = span_skip(text, n < 0 ? 0 : (size_t)n);
	}
	return OK;
}

static struct result hear(int fd, struct buf *in, uint64_t deadline_ms, const char *path, struct err *e)
{
	while (buf_len(in) == 0 || buf_span(in).data[buf_len(in) - 1] != '\n') {
		TRY(wait_for(fd, POLLIN, deadline_ms, path, e));
		char *to = buf_reserve(in, 4096);
		if (to == NULL)
			return err_set(e, ERR_TOO_LARGE, "%s: the answer is larger than 1 MiB", path);
		ssize_t n = recv(fd, to, 4096, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return err_set(e, ERR_UNREACHABLE, "%s: it closed the connection without an answer", path);
		buf_commit(in, n < 0 ? 0 : (size_t)n);
	}
	return OK;
}

struct result admin_call(const char *path, const json_t *request, uint64_t timeout_ms, json_t **answer, struct err *e)
{
	uint64_t deadline = clock_mono_ms() + timeout_ms;
	AUTO_FD int fd = -1;
	AUTO_BUF struct buf text, in;
	buf_init(&text, ADMIN_LINE_MAX);
	buf_init(&in, ADMIN_LINE_MAX + 4096);
	AUTO_FREE char *json = json_text(request, NULL);
	if (!buf_add_str(&text, json) || !buf_add_str(&text, "\n"))
		return err_set(e, ERR_TOO_LARGE, "%s: the request is larger than 1 MiB", path);
	TRY(dial(path, &fd, e));
	TRY(ask(fd, buf_span(&text), deadline, path, e));
	TRY(hear(fd, &in, deadline, path, e));
	json_t *j;
	bool ok = false;
	struct span why = SPAN_LIT("it gave no reason");
	TRY(json_parse_object(buf_span(&in), path, &j, e));
	struct result r = json_opt_bool(j, path, "ok", false, &ok, e);
	if (!failed(r) && !ok && !failed(r = json_opt_string(j, path, "error", &why, e)))
		r = err_set(e, ERR_CONFLICT, "%.*s", SPAN_FMT(why));
	if (failed(r))
		json_decref(j);
	else
		*answer = j;
	return r;
}

#include "sandbox/boxes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "sandbox/box.h"
#include "sandbox/init/abi.h"
#include "sandbox/session.h"
#include "sandbox/wire.h"

struct client {
	struct client *next;
	struct boxes *all;
	uint64_t number; // never 0, never used again
	struct wire *wire;
};

static struct client *find(struct boxes *b, uint64_t number)
{
	struct client *c = b->clients;
	while (c != NULL && c->number != number)
		c = c->next;
	return c;
}

static void answer(struct client *c, uint32_t kind, uint32_t id, uint32_t a, uint32_t b, const char *text, int fd)
{
	struct wire_head head = {.kind = kind, .id = id, .a = a, .b = b};
	struct iovec parts[] = {{&head, sizeof(head)}, {(char *)text, strlen(text) + 1}};
	// One that is gone is told by its socket; one that does not keep up must not miss an answer and wait for it.
	if (!wire_send(c->wire, parts, 2, &fd, fd >= 0 ? 1 : 0))
		wire_shutdown(c->wire);
}

void boxes_answer(struct boxes *b, uint64_t client, uint32_t id, const struct err *e, bool found, int fd)
{
	struct client *c = find(b, client);
	if (c != NULL)
		answer(c, WIRE_ANSWER, id, e == NULL ? 0 : e->kind, e == NULL ? found : (uint32_t)e->sys,
		       e == NULL ? "" : e->msg, fd);
}

void boxes_exited(struct boxes *b, uint64_t client, uint32_t id, int code, int status, const struct err *e)
{
	struct client *c = find(b, client);
	if (c == NULL)
		return;
	if (e != NULL)
		boxes_answer(b, client, id, e, false, -1);
	else
		answer(c, WIRE_EXITED, id, (uint32_t)code, (uint32_t)status, "", -1);
}

// A directory given as descriptor would be a way out of the root; so would a descriptor that only names a file.
static struct result fds_check(const int *fds, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		if (fstat(fds[i], &st) != 0 || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode) ||
		    (fcntl(fds[i], F_GETFL) & O_PATH) != 0)
			return err_set(
			        e, ERR_DENIED,
			        "descriptor %zu of the program is a directory or a disk: it would lead out of the sandbox", i);
	}
	return OK;
}

// Programs open their standard streams anew by name (/dev/stderr). For a pipe that asks for a right on it: the sandbox's group
// gets the one that the end has already, so that a writer can't begin to read what others write. A pipe with a name is left
// as it is, and so is one that can't be changed: only the opening is refused then.
static void pipe_grant(int fd, gid_t tools_id)
{
	struct stat st;
	struct statfs fs;
	if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode) || fstatfs(fd, &fs) != 0 || fs.f_type != PIPEFS_MAGIC)
		return;
	mode_t mode = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? S_IRGRP : S_IWGRP;
	mode |= st.st_mode & (st.st_gid == tools_id ? S_IRWXU | S_IRWXG : S_IRWXU);
	if (fchmod(fd, mode & S_IRWXU) == 0 && fchown(fd, (uid_t)-1, tools_id) == 0)
		(void)fchmod(fd, mode);
}

static struct result exec_send(struct client *c, struct box *x, const struct wire_head *h, struct span payload, int *fds,
                               size_t n_fds, struct err *e)
{
	int ends[2] = {-1, -1}, given[WIRE_FDS_MAX + 1];
	size_t name_len = strnlen(payload.data, payload.len), want = 3 + ((h->flags & EXEC_PROGRAM) != 0), n = 3;
	if (name_len == payload.len || payload.data[payload.len - 1] != '\0' || n_fds != want || name_len > 64)
		return err_set(e, ERR_INVALID, "a malformed request to start a program");
	bool channel = name_len > 0;
	TRY(fds_check(fds, n_fds, e));
	for (size_t i = 0; i < 3 && c->all->ids.count > 0; i++)
		pipe_grant(fds[i], x->tools_id);
	if (channel)
		TRY(wire_pair(ends, e));
	memcpy(given, fds, 3 * sizeof(int));
	if (channel)
		given[n++] = ends[1];
	if (want == 4)
		given[n++] = fds[3];
	struct sandbox_exec exec = {.client = c->number,
	                            .id = h->id,
	                            .flags = (h->flags & (EXEC_PROGRAM | EXEC_TERMINAL)) | (channel ? EXEC_CHANNEL : 0),
	                            .argc = h->argc,
	                            .envc = h->envc,
	                            .strings = span_skip(payload, name_len + 1),
	                            .fds = given,
	                            .n_fds = n};
	struct result r = sandbox_exec(x->sandbox, &exec, e);
	fd_close(&ends[1]);
	if (channel && !failed(r))
		sandbox_channel_put(x->sandbox, payload.data, ends[0]);
	else
		fd_close(&ends[0]);
	return r;
}

static struct result box_running(struct boxes *b, const struct wire_head *h, struct box **out, struct err *e)
{
	*out = box_find(b, h->session);
	if (*out == NULL || !(*out)->ready || (*out)->ending)
		return err_set(e, ERR_NOT_FOUND, "session %s has no sandbox now", h->session);
	return OK;
}

static void handle_exec(struct client *c, const struct wire_head *h, struct span payload, int *fds, size_t n_fds)
{
	struct err e;
	struct box *x;
	if (failed(box_running(c->all, h, &x, &e)) || failed(exec_send(c, x, h, payload, fds, n_fds, &e)))
		boxes_answer(c->all, c->number, h->id, &e, false, -1);
}

static void handle_attach(struct client *c, const struct wire_head *h, struct span name)
{
	struct err e;
	struct box *x;
	int fd = -1;
	bool ok = !failed(box_running(c->all, h, &x, &e));
	if (ok && name.len > 0 && name.data[name.len - 1] == '\0')
		fd = sandbox_channel_peek(x->sandbox, name.data);
	if (ok && fd < 0)
		(void)err_set(&e, ERR_NOT_FOUND, "the sandbox of session %s has no such channel", h->session);
	boxes_answer(c->all, c->number, h->id, fd < 0 ? &e : NULL, true, fd);
}

static void handle(struct client *c, const struct wire_head *h, struct span payload, int *fds, size_t n_fds)
{
	struct boxes *b = c->all;
	struct box *x;
	switch (h->kind) {
	case WIRE_HELLO:
		answer(c, WIRE_HELLO, h->id, 0, 0, b->report, -1);
		break;
	case WIRE_CREATE:
		box_create(b, h->session, c->number, h->id);
		break;
	case WIRE_EXEC:
		handle_exec(c, h, payload, fds, n_fds);
		break;
	case WIRE_SIGNAL:
		x = box_find(b, h->session);
		if (x != NULL && x->sandbox != NULL)
			sandbox_signal(x->sandbox, c->number, h->a, h->b);
		break;
	case WIRE_ATTACH:
		handle_attach(c, h, payload);
		break;
	case WIRE_KILL:
		box_kill(b, h->session, h->a == 1, c->number, h->id);
		break;
	default:
		break;
	}
}

// Who started us is gone: so are we, when the last sandbox is.
static void boxes_close(struct boxes *b)
{
	b->closing = true;
	if (b->first == NULL)
		loop_stop(b->loop);
	for (struct box *x = b->first, *next; x != NULL; x = next) {
		next = x->next;
		box_end(x);
	}
}

static void client_gone(void *arg)
{
	struct client *c = arg, **p = &c->all->clients;
	if (c == c->all->starter) {
		boxes_close(c->all);
		return;
	}
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	for (struct box *x = c->all->first; x != NULL; x = x->next) {
		if (x->sandbox != NULL)
			sandbox_forget(x->sandbox, c->number);
	}
	wire_free(c->wire);
	free(c);
}

static void message(void *arg, const void *bytes, size_t n, int *fds, size_t n_fds);

static struct client *client_add(struct boxes *b, int fd)
{
	struct client *c = NEW(struct client);
	*c = (struct client){.next = b->clients, .all = b, .number = ++b->next_client};
	b->clients = c;
	c->wire = wire_new(b->loop, fd, message, client_gone, c);
	return c;
}

static void message(void *arg, const void *bytes, size_t n, int *fds, size_t n_fds)
{
	struct client *c = arg;
	const struct wire_head *h = bytes;
	if (n < sizeof(*h) || h->session[sizeof(h->session) - 1] != '\0')
		return;
	if (c == c->all->starter && h->kind == WIRE_CLIENT && n_fds == 1) {
		client_add(c->all, STEAL_FD(fds[0]));
		return;
	}
	if (h->kind != WIRE_HELLO && !session_name_ok(h->session)) {
		struct err e;
		(void)err_set(&e, ERR_INVALID, "a session's name has 1 to %d letters, digits, '-' or '_'", SESSION_NAME_MAX);
		boxes_answer(c->all, c->number, h->id, &e, false, -1);
		return;
	}
	handle(c, h, span_from((const char *)bytes + sizeof(*h), n - sizeof(*h)), fds, n_fds);
}

void boxes_serve(struct boxes *b, int fd)
{
	b->starter = client_add(b, fd);
}

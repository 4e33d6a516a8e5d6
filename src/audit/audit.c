#include "audit/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/frame.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define QUEUE_MAX (80u << 20) // bytes that wait for the recorder to read them
#define RETRY_FIRST_MS 10
#define RETRY_LAST_MS 500

struct audit_pending {
	struct audit_client *client; // NULL: not in its list any more
	struct audit_pending *next, *prev;
	struct loop_timer *timer; // of one that failed before it was sent, or with the connection
	uint64_t id;
	bool ok;
	struct err why;
	void (*recorded)(void *arg, const struct err *e);
	void *arg;
};

struct list {
	struct audit_pending *first, *last;
};

struct audit_client {
	struct loop *loop;
	char *path;
	char *role;
	int fd;
	struct loop_fd *watch;
	struct loop_timer *retry;
	uint64_t retry_ms;
	bool ready;
	bool broken;  // found while reading: to be disconnected
	bool telling; // callbacks are being called
	bool stopped; // by one of them: whoever calls them frees the rest
	uint64_t next_id;
	struct frame_reader reader;
	struct buf out;
	struct list sent; // in flight
	struct list done; // answered, their callbacks still to be called
};

static void list_add(struct list *l, struct audit_pending *p)
{
	p->next = NULL;
	p->prev = l->last;
	*(l->last == NULL ? &l->first : &l->last->next) = p;
	l->last = p;
}

static void list_remove(struct list *l, struct audit_pending *p)
{
	*(p->prev == NULL ? &l->first : &p->prev->next) = p->next;
	*(p->next == NULL ? &l->last : &p->next->prev) = p->prev;
	p->next = p->prev = NULL;
}

static struct audit_pending *list_pop(struct list *l)
{
	struct audit_pending *p = l->first;
	l->first = p->next;
	if (l->first == NULL)
		l->last = NULL;
	else
		l->first->prev = NULL;
	p->next = NULL;
	return p;
}

static void finish(struct audit_pending *p)
{
	void (*recorded)(void *, const struct err *) = p->recorded;
	void *arg = p->arg;
	struct err why = p->why;
	bool ok = p->ok;
	free(p);
	recorded(arg, ok ? NULL : &why);
}

static void fail_now(void *arg)
{
	struct audit_pending *p = arg;
	p->timer = NULL;
	finish(p);
}

// From the loop's next turn: a callback never runs inside the call that caused it.
static void fail_later(struct loop *l, struct audit_pending *p)
{
	p->client = NULL;
	p->ok = false;
	p->timer = loop_timer_start(l, 0, fail_now, p);
}

static void retry(void *arg);

static void disconnect(struct audit_client *c)
{
	if (c->ready)
		log_warn("audit.lost", "recorder=%s", c->path);
	c->ready = c->broken = false;
	loop_fd_cancel(&c->watch);
	fd_close(&c->fd);
	buf_fini(&c->out);
	frame_reader_fini(&c->reader);
	frame_reader_init(&c->reader);
	while (c->sent.first != NULL) {
		struct audit_pending *p = list_pop(&c->sent);
		err_set(&p->why, ERR_UNREACHABLE,
		        "the recorder went away before it acknowledged the entry; whether it is stored is not known");
		fail_later(c->loop, p);
	}
	if (c->retry == NULL)
		c->retry = loop_timer_start(c->loop, c->retry_ms, retry, c);
	c->retry_ms = c->retry_ms * 2 > RETRY_LAST_MS ? RETRY_LAST_MS : c->retry_ms * 2;
}

// False when the connection is lost.
static bool send_out(struct audit_client *c)
{
	while (buf_len(&c->out) > 0) {
		struct span s = buf_span(&c->out);
		ssize_t n = send(c->fd, s.data, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return false;
		buf_consume(&c->out, (size_t)n);
	}
	loop_fd_watch(c->watch, EPOLLIN | (buf_len(&c->out) > 0 ? EPOLLOUT : 0));
	return true;
}

// Answers come nearly in order, so the one that is meant is found near the head. A cancelled one is not there.
static struct result answered(struct audit_client *c, const struct frame *f, struct span text, struct err *e)
{
	struct audit_pending *p = c->sent.first;
	while (p != NULL && p->id != f->id)
		p = p->next;
	if (f->id >= c->next_id)
		return err_set(e, ERR_INVALID, "the recorder answered an entry that was never sent");
	if (p == NULL)
		return OK;
	list_remove(&c->sent, p);
	list_add(&c->done, p);
	p->ok = f->type == FRAME_STORED;
	if (!p->ok)
		err_set(&p->why, f->kind == ERR_NONE ? ERR_SYSTEM : f->kind, "not recorded: %.*s", SPAN_FMT(text));
	return OK;
}

static struct result on_text(void *arg, const struct frame *f, struct span text, struct err *e)
{
	struct audit_client *c = arg;
	switch (f->type) {
	case FRAME_WELCOME:
		c->ready = true;
		c->retry_ms = RETRY_FIRST_MS;
		return OK;
	case FRAME_STORED:
	case FRAME_REFUSED:
		return answered(c, f, text, e);
	case FRAME_ERROR:
		return err_set(e, ERR_INVALID, "the recorder says: %.*s", SPAN_FMT(text));
	default:
		return err_set(e, ERR_INVALID, "the recorder sent a frame of type %d", (int)f->type);
	}
}

static struct result on_end(void *arg, const struct frame *f, struct err *e)
{
	(void)arg;
	(void)f;
	(void)e;
	return OK;
}

static void receive(struct audit_client *c)
{
	static const struct frame_events events = {on_text, NULL, on_end};
	char bytes[16384];
	struct err e;
	size_t taken;
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		c->broken = true;
	if (n > 0 && failed(frame_feed(&c->reader, span_from(bytes, (size_t)n), &events, c, NULL, &taken, &e))) {
		log_error("audit.protocol", "problem=%s", LOG_Q(span_of(e.msg)));
		c->broken = true;
	}
}

// Callbacks may do anything, also stop the client. False when they did.
static bool tell_done(struct audit_client *c)
{
	c->telling = true;
	while (c->done.first != NULL)
		finish(list_pop(&c->done));
	c->telling = false;
	if (!c->stopped)
		return true;
	free(c);
	return false;
}

static void ready(void *arg, uint32_t events)
{
	struct audit_client *c = arg;
	if ((events & EPOLLIN) != 0)
		receive(c);
	if (!c->broken && (events & EPOLLOUT) != 0)
		c->broken = !send_out(c);
	if (tell_done(c) && c->broken)
		disconnect(c);
}

static bool greet(struct audit_client *c)
{
	AUTO_JSON json_t *j = json_pack("{s:s, s:i}", "role", c->role, "version", 1);
	size_t n;
	AUTO_FREE char *text = json_text(j, &n);
	BUG_ON(!frame_put_text(&c->out, FRAME_HELLO, ERR_NONE, 0, span_from(text, n)));
	return send_out(c);
}

static void try_connect(struct audit_client *c)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, c->path, strlen(c->path));
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&a, sizeof(a)) != 0) {
		disconnect(c);
		return;
	}
	c->watch = loop_fd_start(c->loop, c->fd, EPOLLIN, ready, c);
	if (!greet(c))
		disconnect(c);
}

static void retry(void *arg)
{
	struct audit_client *c = arg;
	c->retry = NULL;
	try_connect(c);
}

struct result audit_client_start(struct loop *l, const char *socket_path, const char *role, struct audit_client **out,
                                 struct err *e)
{
	if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(e, ERR_INVALID, "%s: too long for a unix socket; use a shorter data_dir", socket_path);
	struct audit_client *c = NEW(struct audit_client);
	c->loop = l;
	c->path = mem_strdup(socket_path);
	c->role = mem_strdup(role);
	c->fd = -1;
	c->retry_ms = RETRY_FIRST_MS;
	c->next_id = 1;
	frame_reader_init(&c->reader);
	buf_init(&c->out, QUEUE_MAX);
	try_connect(c);
	*out = c;
	return OK;
}

static void drop_all(struct list *l)
{
	while (l->first != NULL)
		free(list_pop(l));
}

void audit_client_stop(struct audit_client **cp)
{
	struct audit_client *c = STEAL(*cp);
	if (c == NULL)
		return;
	drop_all(&c->sent);
	drop_all(&c->done);
	loop_timer_cancel(&c->retry);
	loop_fd_cancel(&c->watch);
	fd_close(&c->fd);
	buf_fini(&c->out);
	frame_reader_fini(&c->reader);
	free(c->path);
	free(c->role);
	c->stopped = true;
	if (!c->telling)
		free(c);
}

bool audit_client_ready(const struct audit_client *c)
{
	return c->ready;
}

static struct result enqueue(struct audit_client *c, uint64_t id, const struct audit_entry *a, struct err *e)
{
	AUTO_BUF struct buf text;
	buf_init(&text, SUBMISSION_MAX);
	if (!c->ready)
		return err_set(e, ERR_UNREACHABLE, "not recorded: no recorder answers at %s; is `sallyport recorder` running?",
		               c->path);
	if (a->arguments.len > FRAME_PAYLOAD_MAX || a->result.len > FRAME_PAYLOAD_MAX)
		return err_set(e, ERR_TOO_LARGE, "not recorded: a payload of more than %u bytes", FRAME_PAYLOAD_MAX);
	TRY(submission_write(a, &text, e));
	size_t need = FRAME_HEADER + buf_len(&text) + a->arguments.len + a->result.len;
	if (buf_reserve(&c->out, need) == NULL)
		return err_set(e, ERR_CONFLICT, "not recorded: %zu bytes wait for the recorder already", buf_len(&c->out));
	const struct frame f = {.type = FRAME_ENTRY,
	                        .id = id,
	                        .text_len = (uint32_t)buf_len(&text),
	                        .args_len = (uint32_t)a->arguments.len,
	                        .result_len = (uint32_t)a->result.len};
	BUG_ON(!frame_put(&c->out, &f) || !buf_add(&c->out, buf_span(&text)) || !buf_add(&c->out, a->arguments) ||
	       !buf_add(&c->out, a->result));
	return OK;
}

struct audit_pending *audit_record(struct audit_client *c, const struct audit_entry *entry,
                                   void (*recorded)(void *arg, const struct err *e), void *arg)
{
	struct audit_pending *p = NEW(struct audit_pending);
	p->recorded = recorded;
	p->arg = arg;
	p->id = c->next_id++;
	bool was_empty = buf_len(&c->out) == 0;
	if (failed(enqueue(c, p->id, entry, &p->why))) {
		fail_later(c->loop, p);
		return p;
	}
	p->client = c;
	list_add(&c->sent, p);
	// A lost connection shows up again when it is read.
	if (was_empty && !send_out(c))
		loop_fd_watch(c->watch, EPOLLIN);
	return p;
}

void audit_cancel(struct audit_pending **pp)
{
	struct audit_pending *p = STEAL(*pp);
	if (p == NULL)
		return;
	loop_timer_cancel(&p->timer);
	if (p->client != NULL) {
		bool done = false;
		for (const struct audit_pending *q = p->client->done.first; q != NULL && !done; q = q->next)
			done = q == p;
		list_remove(done ? &p->client->done : &p->client->sent, p);
	}
	free(p);
}

#include "provider/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sandbox/init/abi.h"
#include "sandbox/session.h"
#include "sandbox/wire.h"

struct provider_sandbox {
	struct provider_sandbox *next;
	char session[SESSION_NAME_MAX + 1];
};

// A request on its way. Exactly one of the callbacks is set.
struct pending {
	struct pending *next;
	uint32_t id;
	struct provider_sandbox *sb;
	void (*created)(void *arg, struct provider_sandbox *sb, bool found, const struct err *e);
	void (*exited)(void *arg, int code, int status, const struct err *e);
	void (*attached)(void *arg, int fd, const struct err *e);
	void (*killed)(void *arg, const struct err *e);
	void *arg;
};

struct local {
	struct provider base;
	struct loop *loop;
	struct wire *wire;          // NULL: the spawner is gone
	struct loop_timer *failing; // requests that could not be sent are answered from the loop
	void (*lost)(void *arg);
	void *lost_arg;
	struct pending *pending;
	struct pending *unsent;
	struct err unsent_why;
	struct provider_sandbox *sandboxes;
	uint32_t last_id, last_exec;
	char *report;
};

static struct local *local_of(struct provider *p)
{
	return CONTAINER_OF(p, struct local, base);
}

static void pending_done(struct pending *q, const struct err *e, bool found, int fd, int code, int status)
{
	if (q->created != NULL)
		q->created(q->arg, e == NULL ? q->sb : NULL, found, e);
	else if (q->exited != NULL)
		q->exited(q->arg, code, status, e);
	else if (q->attached != NULL)
		q->attached(q->arg, e == NULL ? fd : -1, e);
	else if (q->killed != NULL)
		q->killed(q->arg, e);
	free(q);
}

static void fail_all(struct pending **list, const struct err *e)
{
	while (*list != NULL) {
		struct pending *q = *list;
		*list = q->next;
		pending_done(q, e, false, -1, 0, 0);
	}
}

static void fail_unsent(void *arg)
{
	struct local *p = arg;
	struct pending *list = STEAL(p->unsent);
	struct err e = p->unsent_why;
	p->failing = NULL;
	fail_all(&list, &e);
}

static void closed(void *arg)
{
	struct local *p = arg;
	struct err e;
	struct pending *list = STEAL(p->pending);
	wire_free(STEAL(p->wire));
	(void)err_set(&e, ERR_UNREACHABLE, "the spawner, and every sandbox with it, has ended");
	if (p->lost != NULL)
		p->lost(p->lost_arg);
	fail_all(&list, &e);
}

static void message(void *arg, const void *bytes, size_t n, int *fds, size_t n_fds)
{
	struct local *p = arg;
	const struct wire_head *h = bytes;
	const char *text = (const char *)bytes + sizeof(*h);
	if (n <= sizeof(*h) || ((const char *)bytes)[n - 1] != '\0')
		return;
	if (h->kind == WIRE_HELLO) {
		free(p->report);
		p->report = mem_strdup(text);
		return;
	}
	struct pending **at = &p->pending;
	while (*at != NULL && (*at)->id != h->id)
		at = &(*at)->next;
	struct pending *q = *at;
	if (q == NULL)
		return;
	*at = q->next;
	struct err e = {.kind = h->a, .sys = (int)h->b};
	snprintf(e.msg, sizeof(e.msg), "%s", text);
	if (h->kind == WIRE_EXITED) {
		pending_done(q, NULL, false, -1, (int)h->a, (int)h->b);
	} else if (h->a != ERR_NONE) {
		pending_done(q, &e, false, -1, 0, 0);
	} else {
		int fd = q->attached != NULL && n_fds == 1 ? STEAL_FD(fds[0]) : -1;
		pending_done(q, NULL, h->b != 0, fd, 0, 0);
	}
}

// Sends the request that `q` describes, or has it fail in the loop's next turn.
static void ask(struct local *p, struct pending *q, struct wire_head *h, struct span payload, const int *fds, size_t n_fds)
{
	struct iovec parts[] = {{h, sizeof(*h)}, {(char *)payload.data, payload.len}};
	h->id = q->id = ++p->last_id;
	if (q->sb != NULL)
		snprintf(h->session, sizeof(h->session), "%s", q->sb->session);
	if (p->wire != NULL && sizeof(*h) + payload.len <= EXEC_MESSAGE_MAX && wire_send(p->wire, parts, 2, fds, n_fds)) {
		q->next = p->pending;
		p->pending = q;
		return;
	}
	if (sizeof(*h) + payload.len > EXEC_MESSAGE_MAX)
		(void)err_set(&p->unsent_why, ERR_TOO_LARGE, "arguments and environment of a program are over %d bytes",
		              EXEC_MESSAGE_MAX);
	else
		(void)err_set(&p->unsent_why, ERR_UNREACHABLE, "the spawner has ended or does not keep up");
	q->next = p->unsent;
	p->unsent = q;
	if (p->failing == NULL)
		p->failing = loop_timer_start(p->loop, 0, fail_unsent, p);
}

static struct pending *pending_new(struct provider_sandbox *sb, void *arg)
{
	struct pending *q = NEW(struct pending);
	q->sb = sb;
	q->arg = arg;
	return q;
}

static struct provider_sandbox *sandbox_of(struct local *p, const char *session)
{
	struct provider_sandbox *sb = p->sandboxes;
	while (sb != NULL && strcmp(sb->session, session) != 0)
		sb = sb->next;
	if (sb != NULL)
		return sb;
	sb = NEW(struct provider_sandbox);
	snprintf(sb->session, sizeof(sb->session), "%s", session);
	sb->next = p->sandboxes;
	p->sandboxes = sb;
	return sb;
}

static void local_create(struct provider *base, const char *session,
                         void (*done)(void *arg, struct provider_sandbox *sb, bool found, const struct err *e), void *arg)
{
	struct local *p = local_of(base);
	struct wire_head h = {.kind = WIRE_CREATE};
	// A name that is too long or holds what it may not is the spawner's to refuse: it is passed on as an empty one.
	struct pending *q = pending_new(sandbox_of(p, session_name_ok(session) ? session : ""), arg);
	q->created = done;
	ask(p, q, &h, SPAN_LIT(""), NULL, 0);
}

static bool add_strings(struct buf *out, const char *const *strings, uint32_t *count)
{
	for (*count = 0; strings != NULL && strings[*count] != NULL; ++*count) {
		if (!buf_add(out, span_from(strings[*count], strlen(strings[*count]) + 1)))
			return false;
	}
	return true;
}

static void local_exec(struct provider *base, struct provider_sandbox *sb, const struct provider_exec_opts *o,
                       void (*exited)(void *arg, int code, int status, const struct err *e), void *arg)
{
	struct local *p = local_of(base);
	struct wire_head h = {.kind = WIRE_EXEC, .flags = o->program_fd >= 0 ? EXEC_PROGRAM : 0};
	struct buf AUTO_BUF payload;
	AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[4] = {o->stdin_fd, o->stdout_fd, o->stderr_fd, o->program_fd};
	for (int i = 0; i < 3; i++)
		fds[i] = fds[i] < 0 ? null : fds[i];
	if (isatty(fds[0]))
		h.flags |= EXEC_TERMINAL;
	buf_init(&payload, 2 * EXEC_MESSAGE_MAX);
	bool fits = buf_add(&payload,
	                    span_from(o->channel != NULL ? o->channel : "", o->channel != NULL ? strlen(o->channel) + 1 : 1)) &&
	            buf_add(&payload, span_from(o->cwd != NULL ? o->cwd : "/workspace",
	                                        strlen(o->cwd != NULL ? o->cwd : "/workspace") + 1)) &&
	            add_strings(&payload, o->argv, &h.argc) && add_strings(&payload, o->env, &h.envc);
	struct pending *q = pending_new(sb, arg);
	q->exited = exited;
	ask(p, q, &h, fits ? buf_span(&payload) : span_from(NULL, EXEC_MESSAGE_MAX), fds, o->program_fd >= 0 ? 4 : 3);
	p->last_exec = p->last_id;
}

static void local_attach(struct provider *base, struct provider_sandbox *sb, const char *channel,
                         void (*done)(void *arg, int fd, const struct err *e), void *arg)
{
	struct wire_head h = {.kind = WIRE_ATTACH};
	struct pending *q = pending_new(sb, arg);
	q->attached = done;
	ask(local_of(base), q, &h, span_from(channel, strlen(channel) + 1), NULL, 0);
}

static void local_kill(struct provider *base, struct provider_sandbox *sb, bool remove,
                       void (*done)(void *arg, const struct err *e), void *arg)
{
	struct wire_head h = {.kind = WIRE_KILL, .a = remove};
	struct pending *q = pending_new(sb, arg);
	q->killed = done;
	ask(local_of(base), q, &h, SPAN_LIT(""), NULL, 0);
}

static void local_remove(struct provider *base, const char *session, void (*done)(void *arg, const struct err *e), void *arg)
{
	struct wire_head h = {.kind = WIRE_KILL, .a = 1};
	struct pending *q = pending_new(NULL, arg);
	q->killed = done;
	snprintf(h.session, sizeof(h.session), "%s", session_name_ok(session) ? session : "");
	ask(local_of(base), q, &h, SPAN_LIT(""), NULL, 0);
}

static json_t *local_where(struct provider *base, struct provider_sandbox *sb)
{
	struct local *p = local_of(base);
	char host[256] = "";
	(void)gethostname(host, sizeof(host) - 1);
	json_t *out = json_pack("{s:s,s:s,s:s}", "place", "local", "host", host, "session", sb->session);
	json_t *report = p->report == NULL ? NULL : json_loads(p->report, 0, NULL);
	if (report != NULL)
		json_object_update_missing(out, report);
	json_decref(report);
	return out;
}

static void local_free(struct provider *base)
{
	struct local *p = local_of(base);
	struct pending *lists[] = {p->pending, p->unsent};
	loop_timer_cancel(&p->failing);
	wire_free(p->wire);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		while (lists[i] != NULL) {
			struct pending *q = lists[i];
			lists[i] = q->next;
			free(q);
		}
	}
	while (p->sandboxes != NULL) {
		struct provider_sandbox *sb = p->sandboxes;
		p->sandboxes = sb->next;
		free(sb);
	}
	free(p->report);
	free(p);
}

static const struct provider_ops ops = {.create = local_create,
                                        .exec = local_exec,
                                        .attach = local_attach,
                                        .kill = local_kill,
                                        .remove = local_remove,
                                        .where = local_where,
                                        .free = local_free};

struct provider *provider_local_new(struct loop *l, int spawner_fd, void (*lost)(void *arg), void *arg)
{
	struct local *p = NEW(struct local);
	*p = (struct local){.base = {&ops}, .loop = l, .lost = lost, .lost_arg = arg};
	p->wire = wire_new(l, spawner_fd, message, closed, p);
	struct wire_head hello = {.kind = WIRE_HELLO};
	struct iovec part = {&hello, sizeof(hello)};
	(void)wire_send(p->wire, &part, 1, NULL, 0); // where it fails, the socket's end tells
	return &p->base;
}

uint32_t provider_local_last_exec(const struct provider *p)
{
	return CONTAINER_OF((struct provider *)p, struct local, base)->last_exec;
}

void provider_local_signal(struct provider *base, struct provider_sandbox *sb, uint32_t exec, int signo)
{
	struct local *p = local_of(base);
	struct wire_head h = {.kind = WIRE_SIGNAL, .a = exec, .b = (uint32_t)signo};
	struct iovec part = {&h, sizeof(h)};
	snprintf(h.session, sizeof(h.session), "%s", sb->session);
	if (p->wire != NULL)
		(void)wire_send(p->wire, &part, 1, NULL, 0);
}

struct result provider_local_session_is_dead(const char *data_dir, const char *session, bool *dead, struct err *e)
{
	char path[4200];
	snprintf(path, sizeof(path), "%s/worker/sessions", data_dir);
	AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*dead = dir < 0 && errno == ENOENT;
	if (*dead)
		return OK;
	if (dir < 0)
		return err_sys(e, "%s", path);
	return session_is_dead(dir, session, dead, e);
}

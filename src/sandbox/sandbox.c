#include "sandbox/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sandbox/birth.h"
#include "sandbox/init/abi.h"
#include "sandbox/plan.h"
#include "sandbox/session.h"
#include "sandbox/wire.h"

#define SETUP_MS 15000
#define PROGRAMS_AT_ONCE 256

struct running {
	struct running *next;
	uint32_t id; // the init's number
	uint64_t client;
	uint32_t client_id;
};

struct channel {
	struct channel *next;
	char *name;
	int fd;
};

struct sandbox {
	struct loop *loop;
	const struct sandbox_events *events;
	void *arg;
	struct span plan;
	const struct cgroup *cgroup;
	char group[48];
	struct birth birth;
	pid_t pid;
	int control;
	struct wire *nursery;
	struct loop_child *child;
	struct loop_timer *timer;
	bool ready, said_failed, gone, silent; // gone: the init has ended; silent: its socket has
	struct running *running;
	unsigned n_running;
	uint32_t next_id;
	struct channel *channels;
};

static void fail_setup(struct sandbox *s, const struct err *why)
{
	if (s->ready || s->said_failed)
		return;
	s->said_failed = true;
	s->events->ready(s->arg, why);
}

static struct running **find_id(struct sandbox *s, uint32_t id)
{
	struct running **p = &s->running;
	while (*p != NULL && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

static void program_end(struct sandbox *s, struct running **at, int code, int status, const struct err *e)
{
	struct running *r = *at;
	*at = r->next;
	s->n_running--;
	if (r->client != 0)
		s->events->exited(s->arg, r->client, r->client_id, code, status, e);
	free(r);
}

static void setup_error(const struct sandbox *s, const struct init_event *ev, struct err *e)
{
	char what[160];
	plan_describe(s->plan, ev->id, what, sizeof(what));
	errno = ev->status;
	(void)err_sys(e, "set up a sandbox: %s", what);
}

static void event(void *arg, const void *bytes, size_t n, int *fds, size_t n_fds)
{
	struct sandbox *s = arg;
	const struct init_event *ev = bytes;
	struct err e;
	(void)fds;
	(void)n_fds;
	if (n != sizeof(*ev))
		return;
	struct running **at = find_id(s, ev->id);
	switch (ev->kind) {
	case EVENT_READY:
		birth_release(&s->birth);
		loop_timer_cancel(&s->timer);
		if (!s->ready) { // a later nursery says it again
			s->ready = true;
			s->events->ready(s->arg, NULL);
		}
		break;
	case EVENT_SETUP_FAILED:
		setup_error(s, ev, &e);
		fail_setup(s, &e);
		sandbox_kill(s);
		break;
	case EVENT_FAILED:
		errno = ev->status;
		(void)err_sys(&e, "start the program");
		e.kind = ev->status == ENOENT ? ERR_NOT_FOUND : ev->status == EACCES ? ERR_DENIED : ERR_SYSTEM;
		if (*at != NULL)
			program_end(s, at, 0, 0, &e);
		break;
	case EVENT_EXITED:
		if (*at != NULL)
			program_end(s, at, ev->code, ev->status, NULL);
		break;
	default:
		break;
	}
}

static void maybe_ended(struct sandbox *s)
{
	if (!s->gone || !s->silent)
		return;
	struct err e;
	(void)err_set(&e, ERR_SYSTEM, "the sandbox ended while it was set up");
	fail_setup(s, &e);
	while (s->running != NULL)
		program_end(s, &s->running, CLD_KILLED, SIGKILL, NULL);
	s->events->ended(s->arg);
}

static void socket_closed(void *arg)
{
	struct sandbox *s = arg;
	s->silent = true;
	maybe_ended(s);
}

static void init_ended(void *arg, int code, int status)
{
	struct sandbox *s = arg;
	(void)code;
	(void)status;
	s->child = NULL;
	s->gone = true;
	maybe_ended(s);
}

static void setup_timed_out(void *arg)
{
	struct sandbox *s = arg;
	struct err e;
	s->timer = NULL;
	(void)err_set(&e, ERR_UNREACHABLE, "a sandbox was not set up within %d s", SETUP_MS / 1000);
	fail_setup(s, &e);
	sandbox_kill(s);
}

// The child exists and waits: everything that has to be done to it from outside, then the word to go on and its plan.
static struct result send_off(struct sandbox *s, const struct sandbox_opts *o, struct err *e)
{
	TRY(birth_map(s->pid, o->ranged, o->init_id, o->tools_id, e));
	TRY(session_note(o->lock, s->pid, e));
	TRY(cgroup_enter(s->cgroup, s->group, s->pid, e));
	if (send(s->control, "g", 1, MSG_NOSIGNAL) != 1 ||
	    send(s->control, o->plan.data, o->plan.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)o->plan.len)
		return err_sys(e, "send a sandbox its plan");
	return OK;
}

struct result sandbox_start(struct loop *l, const struct sandbox_opts *o, const struct sandbox_events *events, void *arg,
                            struct sandbox **out, struct err *e)
{
	int control[2], nursery[2];
	TRY(wire_pair(control, e));
	if (failed(wire_pair(nursery, e))) {
		fd_close(&control[0]);
		fd_close(&control[1]);
		return FAIL;
	}
	struct sandbox *s = NEW(struct sandbox);
	*s = (struct sandbox){
	        .loop = l, .events = events, .arg = arg, .plan = o->plan, .cgroup = o->cgroup, .control = control[0]};
	cgroup_name(s->group, sizeof(s->group));
	s->birth = (struct birth){.control = control[1],
	                          .spawner_end = control[0],
	                          .nursery = nursery[1],
	                          .lock = o->lock,
	                          .workspace = o->workspace,
	                          .pts = o->pts,
	                          .image = o->image,
	                          .setgroups = o->setgroups,
	                          .uid = o->ranged ? 0 : PLAN_TOOLS_ID};
	struct result r = birth_start(&s->birth, &s->pid, e);
	if (!failed(r) && failed(send_off(s, o, e))) {
		kill(s->pid, SIGKILL); // it still waits for the word to go on
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
		birth_release(&s->birth);
		cgroup_remove(s->cgroup, s->group);
		r = FAIL;
	}
	if (failed(r)) {
		fd_close(&control[0]);
		fd_close(&nursery[0]);
		free(STEAL(s));
	} else {
		s->nursery = wire_new(l, nursery[0], event, socket_closed, s);
		s->child = loop_child_start(l, s->pid, init_ended, s);
		s->timer = loop_timer_start(l, SETUP_MS, setup_timed_out, s);
	}
	fd_close(&control[1]);
	fd_close(&nursery[1]);
	*out = s;
	return r;
}

void sandbox_free(struct sandbox *s)
{
	BUG_ON(!s->gone);
	loop_timer_cancel(&s->timer);
	birth_release(&s->birth);
	cgroup_remove(s->cgroup, s->group);
	wire_free(s->nursery);
	fd_close(&s->control);
	while (s->channels != NULL) {
		struct channel *c = s->channels;
		s->channels = c->next;
		fd_close(&c->fd);
		free(c->name);
		free(c);
	}
	free(s);
}

pid_t sandbox_pid(const struct sandbox *s)
{
	return s->pid;
}

void sandbox_kill(struct sandbox *s)
{
	if (!s->gone) // not reaped before init_ended: the number is still its own
		kill(s->pid, SIGKILL);
}

struct result sandbox_exec(struct sandbox *s, const struct sandbox_exec *x, struct err *e)
{
	if (s->n_running >= PROGRAMS_AT_ONCE)
		return err_set(e, ERR_TOO_LARGE, "%d programs run in this sandbox already", PROGRAMS_AT_ONCE);
	struct init_exec head = {REQUEST_EXEC, ++s->next_id, x->flags, x->argc, x->envc, (uint32_t)x->strings.len};
	struct iovec parts[] = {{&head, sizeof(head)}, {(char *)x->strings.data, x->strings.len}};
	if (sizeof(head) + x->strings.len > EXEC_MESSAGE_MAX)
		return err_set(e, ERR_TOO_LARGE, "arguments and environment of a program are over %d bytes", EXEC_MESSAGE_MAX);
	if (!wire_send(s->nursery, parts, 2, x->fds, x->n_fds))
		return err_set(e, ERR_UNREACHABLE, "the sandbox does not take programs any more");
	struct running *r = NEW(struct running);
	*r = (struct running){s->running, head.id, x->client, x->id};
	s->running = r;
	s->n_running++;
	return OK;
}

void sandbox_signal(struct sandbox *s, uint64_t client, uint32_t id, uint32_t signo)
{
	for (const struct running *r = s->running; r != NULL; r = r->next) {
		struct init_signal message = {REQUEST_SIGNAL, r->id, signo};
		struct iovec part = {&message, sizeof(message)};
		if (r->client == client && r->client_id == id)
			(void)wire_send(s->nursery, &part, 1, NULL, 0);
	}
}

void sandbox_forget(struct sandbox *s, uint64_t client)
{
	for (struct running *r = s->running; r != NULL; r = r->next) {
		if (r->client == client)
			r->client = 0;
	}
}

void sandbox_channel_put(struct sandbox *s, const char *name, int fd)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next) {
		if (strcmp(c->name, name) == 0) {
			fd_close(&c->fd);
			c->fd = fd;
			return;
		}
	}
	struct channel *c = NEW(struct channel);
	*c = (struct channel){s->channels, mem_strdup(name), fd};
	s->channels = c;
}

int sandbox_channel_peek(const struct sandbox *s, const char *name)
{
	for (const struct channel *c = s->channels; c != NULL; c = c->next) {
		if (strcmp(c->name, name) == 0)
			return c->fd;
	}
	return -1;
}

#include "cli/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define ARGS_MAX 32
#define READY_LINE_MAX 4096
#define STOP_PATIENCE_MS 30000
#define BACKOFF_FIRST_MS 20
#define BACKOFF_MAX_MS 5000
#define STEADY_MS 10000 // a role that ran this long starts its backoff anew

struct role {
	struct supervisor *owner;
	char *name;
	const struct role *after; // NULL: needs no other
	char *argv[ARGS_MAX + 3];
	size_t argc;
	pid_t pid; // 0: not running
	struct loop_child *child;
	int ready_fd;
	struct loop_fd *ready;
	struct buf line;
	bool is_ready, was_ready;
	struct loop_timer *restart;
	uint64_t backoff_ms, started_ms;
};

struct supervisor {
	struct loop *loop;
	struct supervisor_opts opts;
	struct role roles[SUPERVISOR_ROLES_MAX];
	size_t n_roles;
	bool stopping, ended;
	struct loop_timer *patience;
	struct err failure;
};

static void start_role(struct role *r);

static struct role *find(struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->n_roles; i++) {
		if (strcmp(s->roles[i].name, name) == 0)
			return &s->roles[i];
	}
	BUG_ON(true);
}

struct supervisor *supervisor_new(struct loop *l, const struct supervisor_opts *opts)
{
	struct supervisor *s = NEW(struct supervisor);
	s->loop = l;
	s->opts = *opts;
	return s;
}

void supervisor_add(struct supervisor *s, const char *name, const char *after, const char *const *argv)
{
	BUG_ON(s->n_roles == SUPERVISOR_ROLES_MAX);
	struct role *r = &s->roles[s->n_roles];
	*r = (struct role){.owner = s,
	                   .name = mem_strdup(name),
	                   .after = after == NULL ? NULL : find(s, after),
	                   .ready_fd = -1,
	                   .backoff_ms = BACKOFF_FIRST_MS};
	s->n_roles++;
	buf_init(&r->line, READY_LINE_MAX);
	for (; *argv != NULL; argv++) {
		BUG_ON(r->argc == ARGS_MAX);
		r->argv[r->argc++] = mem_strdup(*argv);
	}
}

void supervisor_set_option(struct supervisor *s, const char *name, const char *option, const char *value)
{
	struct role *r = find(s, name);
	for (size_t i = 0; i + 1 < r->argc; i++) {
		if (strcmp(r->argv[i], option) == 0) {
			free(r->argv[i + 1]);
			r->argv[i + 1] = mem_strdup(value);
			return;
		}
	}
	BUG_ON(r->argc + 2 > ARGS_MAX);
	r->argv[r->argc++] = mem_strdup(option);
	r->argv[r->argc++] = mem_strdup(value);
}

static void forget_ready_fd(struct role *r)
{
	loop_fd_cancel(&r->ready);
	fd_close(&r->ready_fd);
	buf_clear(&r->line);
}

void supervisor_free(struct supervisor *s)
{
	for (size_t i = 0; i < s->n_roles; i++) {
		struct role *r = &s->roles[i];
		BUG_ON(r->pid != 0);
		forget_ready_fd(r);
		loop_timer_cancel(&r->restart);
		buf_fini(&r->line);
		for (size_t k = 0; k < r->argc; k++)
			free(r->argv[k]);
		free(r->name);
	}
	loop_timer_cancel(&s->patience);
	free(s);
}

pid_t supervisor_pid(const struct supervisor *s, const char *name)
{
	return find((struct supervisor *)s, name)->pid;
}

static void finish(struct supervisor *s)
{
	if (s->ended)
		return;
	s->ended = true;
	loop_timer_cancel(&s->patience);
	s->opts.ended(s->opts.arg, s->failure.kind == ERR_NONE ? NULL : &s->failure);
}

// Signals the last role that still runs; when none does, all is over.
static void stop_next(struct supervisor *s)
{
	for (size_t i = s->n_roles; i-- > 0;) {
		if (s->roles[i].pid != 0) {
			kill(s->roles[i].pid, SIGTERM);
			return;
		}
	}
	finish(s);
}

static void out_of_patience(void *arg)
{
	struct supervisor *s = arg;
	s->patience = NULL;
	for (size_t i = 0; i < s->n_roles; i++) {
		if (s->roles[i].pid != 0) {
			log_warn("up.kill", "role=%s pid=%d", s->roles[i].name, (int)s->roles[i].pid);
			kill(s->roles[i].pid, SIGKILL);
		}
	}
}

void supervisor_stop(struct supervisor *s)
{
	if (s->stopping) {
		loop_timer_cancel(&s->patience);
		out_of_patience(s);
		return;
	}
	s->stopping = true;
	for (size_t i = 0; i < s->n_roles; i++)
		loop_timer_cancel(&s->roles[i].restart);
	s->patience = loop_timer_start(s->loop, STOP_PATIENCE_MS, out_of_patience, s);
	stop_next(s);
}

static void restart_now(void *arg)
{
	struct role *r = arg;
	r->restart = NULL;
	start_role(r);
}

static void start_later(struct role *r)
{
	r->restart = loop_timer_start(r->owner->loop, r->backoff_ms, restart_now, r);
	r->backoff_ms = r->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : r->backoff_ms * 2;
}

static void role_ended(void *arg, int code, int status)
{
	struct role *r = arg;
	struct supervisor *s = r->owner;
	const char *how = code == CLD_EXITED ? "exit" : "signal";
	r->child = NULL;
	r->pid = 0;
	r->is_ready = false;
	forget_ready_fd(r);
	if (s->stopping) {
		stop_next(s);
		return;
	}
	if (!r->was_ready) {
		// Its own words on stderr say why; restarting would only say them again.
		err_set(&s->failure, ERR_SYSTEM, "%s did not start (%s %d); its own message stands above", r->name, how,
		        status);
		supervisor_stop(s);
		return;
	}
	if (loop_now_ms(s->loop) - r->started_ms > STEADY_MS)
		r->backoff_ms = BACKOFF_FIRST_MS;
	log_warn("up.restart", "role=%s %s=%d after_ms=%llu", r->name, how, status, (unsigned long long)r->backoff_ms);
	start_later(r);
}

static void start_those_after(struct supervisor *s, const struct role *ready)
{
	for (size_t i = 0; i < s->n_roles && !s->stopping; i++) {
		if (s->roles[i].after == ready)
			start_role(&s->roles[i]);
	}
}

static void role_is_ready(struct role *r, const json_t *line)
{
	struct supervisor *s = r->owner;
	bool first = !r->was_ready;
	r->is_ready = r->was_ready = true;
	s->opts.role_ready(s->opts.arg, r->name, line);
	if (!first || s->stopping)
		return;
	bool all = true;
	for (size_t i = 0; i < s->n_roles; i++)
		all = all && s->roles[i].was_ready;
	start_those_after(s, r);
	if (all)
		s->opts.all_ready(s->opts.arg);
}

static void read_ready(void *arg, uint32_t events)
{
	(void)events;
	struct role *r = arg;
	char *to = buf_reserve(&r->line, 512);
	ssize_t n = to == NULL ? 0 : read(r->ready_fd, to, 512);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		buf_commit(&r->line, (size_t)n);
		if (memchr(to, '\n', (size_t)n) == NULL)
			return;
	}
	struct err e;
	AUTO_JSON json_t *line = NULL;
	bool ok = n > 0 && !failed(json_parse_object(buf_span(&r->line), "readiness line", &line, &e));
	forget_ready_fd(r);
	if (ok)
		role_is_ready(r, line);
	// Without a line the process is ending; role_ended tells.
}

static void exec_role(struct role *r, int ready_fd, pid_t parent)
{
	char number[16];
	snprintf(number, sizeof(number), "%d", ready_fd);
	r->argv[r->argc] = (char[]){"--ready-fd"};
	r->argv[r->argc + 1] = number;
	r->argv[r->argc + 2] = NULL;
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	// A terminal's Ctrl-C is for `up` alone, which then stops its roles in order.
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent && fcntl(ready_fd, F_SETFD, 0) == 0)
		execv("/proc/self/exe", r->argv);
	_exit(127);
}

// A machine that is short of processes or descriptors at the moment is tried again, but not before all was ready once.
static void could_not_start(struct role *r)
{
	struct err e;
	err_sys(&e, "start %s", r->name);
	if (r->was_ready) {
		log_warn("up.restart", "role=%s error=%s", r->name, LOG_Q(span_of(e.msg)));
		start_later(r);
	} else {
		r->owner->failure = e;
		supervisor_stop(r->owner);
	}
}

static void start_role(struct role *r)
{
	struct supervisor *s = r->owner;
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) != 0) {
		could_not_start(r);
		return;
	}
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		exec_role(r, fds[1], parent);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		could_not_start(r);
		return;
	}
	r->pid = pid;
	r->started_ms = loop_now_ms(s->loop);
	r->ready_fd = fds[0];
	r->ready = loop_fd_start(s->loop, fds[0], EPOLLIN, read_ready, r);
	r->child = loop_child_start(s->loop, r->pid, role_ended, r);
}

void supervisor_start(struct supervisor *s)
{
	BUG_ON(s->n_roles == 0);
	start_those_after(s, NULL);
}

#include "tools/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tools/shell_output.h"
#include "tools/tools.h"

extern char **environ;

#define READ_SIZE 65536

struct shell {
	struct loop *loop;
	pid_t pid;
	bool gone;
	int in, out; // our ends of bash's stdin, and of its stdout and stderr
	struct loop_fd *in_watch, *out_watch;
	struct loop_child *child;
	struct loop_timer *timer;
	struct buf feed; // what bash has yet to read
	struct shell_output output;
	void (*done)(void *arg, const struct shell_outcome *o); // NULL: no command runs
	void *arg;
};

// The environment that bash gets: a new array, whose strings are borrowed.
static char **shell_environment(void)
{
	static char ps1[] = "PS1=", ps2[] = "PS2=", term[] = "TERM=dumb";
	size_t n = 0, kept = 0;
	while (environ[n] != NULL)
		n++;
	char **env = mem_alloc((n + 4) * sizeof(*env));
	for (size_t i = 0; i < n; i++) {
		char *v = environ[i];
		bool drop = strncasecmp(v, "ANTHROPIC_", 10) == 0 || strncmp(v, "PS1=", 4) == 0 || strncmp(v, "PS2=", 4) == 0 ||
		            strncmp(v, "TERM=", 5) == 0;
		if (!drop)
			env[kept++] = v;
	}
	env[kept++] = ps1;
	env[kept++] = ps2;
	env[kept++] = term;
	env[kept] = NULL;
	return env;
}

static int spawn(const char *dir, int in, int out, pid_t *pid)
{
	static char name[] = "/bin/bash", noprofile[] = "--noprofile", norc[] = "--norc";
	char *argv[] = {name, noprofile, norc, NULL};
	AUTO_FREE char *env_memory = (char *)shell_environment();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, out, 2);
	posix_spawn_file_actions_addchdir_np(&actions, dir);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	int error = posix_spawn(pid, name, &actions, &attr, argv, (char **)env_memory);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

static void finish(struct shell *s, enum shell_end end)
{
	struct shell_outcome o = {.end = end};
	loop_timer_cancel(&s->timer);
	if (end == SHELL_DONE)
		shell_output_take(&s->output, &o);
	void (*done)(void *, const struct shell_outcome *) = s->done;
	s->done = NULL;
	done(s->arg, &o); // may free the shell
}

// Reads what is there. Returns false when there will be no more.
static bool read_some(struct shell *s, bool *dry)
{
	*dry = false;
	char *to = shell_output_reserve(&s->output, READ_SIZE);
	ssize_t n = read(s->out, to, READ_SIZE);
	if (n > 0)
		shell_output_commit(&s->output, (size_t)n, s->done != NULL);
	*dry = n < 0 && (errno == EAGAIN || errno == EINTR);
	return n > 0 || *dry;
}

static void readable(void *arg, uint32_t events)
{
	(void)events;
	struct shell *s = arg;
	bool dry;
	if (!read_some(s, &dry)) {
		loop_fd_cancel(&s->out_watch);
		return;
	}
	if (s->done != NULL && shell_output_complete(&s->output))
		finish(s, SHELL_DONE);
}

static void ended(void *arg, int code, int status)
{
	(void)code;
	(void)status;
	struct shell *s = arg;
	s->child = NULL;
	s->gone = true;
	// Its last words may still be in the pipe. A job it left behind can keep the pipe full, so this is bounded.
	bool dry = false;
	for (int i = 0; i < 64 && !dry && !shell_output_complete(&s->output) && read_some(s, &dry); i++)
		;
	if (s->done != NULL)
		finish(s, shell_output_complete(&s->output) ? SHELL_DONE : SHELL_GONE);
}

static void timed_out(void *arg)
{
	struct shell *s = arg;
	s->timer = NULL;
	finish(s, SHELL_TIMED_OUT);
}

static void feed(void *arg, uint32_t events)
{
	(void)events;
	struct shell *s = arg;
	while (buf_len(&s->feed) > 0) {
		struct span rest = buf_span(&s->feed);
		ssize_t n = write(s->in, rest.data, rest.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_fd_watch(s->in_watch, EPOLLOUT);
			return;
		}
		if (n < 0) { // bash closed its stdin, or is gone: its end or the timeout will tell
			buf_clear(&s->feed);
			break;
		}
		buf_consume(&s->feed, (size_t)n);
	}
	buf_fini(&s->feed);
	loop_fd_watch(s->in_watch, 0);
}

struct result shell_new(struct loop *l, const char *dir, struct shell **out, struct err *e)
{
	int in[2] = {-1, -1}, from[2] = {-1, -1};
	if (pipe2(in, O_CLOEXEC) < 0)
		return err_sys(e, "make a pipe");
	AUTO_FD int bash_in = in[0], our_in = in[1];
	if (pipe2(from, O_CLOEXEC) < 0)
		return err_sys(e, "make a pipe");
	AUTO_FD int our_out = from[0], bash_out = from[1];
	TRY(fd_set_nonblock(our_in, e));
	TRY(fd_set_nonblock(our_out, e));
	pid_t pid;
	int error = spawn(dir, bash_in, bash_out, &pid);
	if (error != 0) {
		errno = error;
		return err_sys(e, "start /bin/bash");
	}
	struct shell *s = NEW(struct shell);
	*s = (struct shell){.loop = l, .pid = pid, .in = STEAL_FD(our_in), .out = STEAL_FD(our_out)};
	buf_init(&s->feed, 2 * TOOLS_INPUT_MAX);
	shell_output_init(&s->output);
	s->in_watch = loop_fd_start(l, s->in, 0, feed, s);
	s->out_watch = loop_fd_start(l, s->out, EPOLLIN, readable, s);
	s->child = loop_child_start(l, pid, ended, s);
	*out = s;
	return OK;
}

void shell_free(struct shell *s)
{
	if (s == NULL)
		return;
	loop_fd_cancel(&s->in_watch);
	loop_fd_cancel(&s->out_watch);
	loop_timer_cancel(&s->timer);
	loop_child_cancel(&s->child);
	close(s->in);
	close(s->out);
	if (!s->gone) {
		if (kill(-s->pid, SIGKILL) < 0)
			kill(s->pid, SIGKILL);
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	buf_fini(&s->feed);
	shell_output_fini(&s->output);
	free(s);
}

bool shell_gone(const struct shell *s)
{
	return s->gone;
}

void shell_run(struct shell *s, struct span command, uint64_t timeout_ms,
               void (*done)(void *arg, const struct shell_outcome *o), void *arg)
{
	BUG_ON(s->done != NULL || s->gone);
	bool dry = false;
	for (int i = 0; i < 64 && !dry && read_some(s, &dry); i++) // what jobs printed since the last command is nobody's
		;
	shell_output_begin(&s->output);
	s->done = done;
	s->arg = arg;
	s->timer = loop_timer_start(s->loop, timeout_ms, timed_out, s);
	const char *marker = s->output.marker;
	buf_clear(&s->feed);
	// The brace group takes stdin away from the command and merges its stderr. In what bash reads the marker is split, so
	// that `set -v` does not print it.
	BUG_ON(!buf_add_str(&s->feed, "{ ") || !buf_add(&s->feed, command) ||
	       !buf_printf(&s->feed, "\n} </dev/null 2>&1; printf '\\n%.4s''%s%%d\\n' $?\n", marker, marker + 4));
	feed(s, EPOLLOUT);
}

// Starting one program: no terminal, no descriptor but those given, only the environment given.
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>

#include "init.h"

#define STRINGS_MAX 4096 // arguments, and variables of the environment, each
#define ENOENT 2
#define EACCES 13
#define E2BIG 7

struct start {
	const struct init_exec *x;
	const char *cwd;
	const char **argv, **env;
	const int *fds;
	struct program *slot;
};

static const char *argv_[STRINGS_MAX + 1], *env_[STRINGS_MAX + 1];
static char stack_[16 * 1024] __attribute__((aligned(16)));

static const char *path_of(const char *const *env)
{
	for (; *env != NULL; env++) {
		const char *e = *env;
		if (e[0] == 'P' && e[1] == 'A' && e[2] == 'T' && e[3] == 'H' && e[4] == '=')
			return e + 5;
	}
	return "/usr/bin:/bin";
}

static int has_slash(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '/')
			return 1;
	}
	return 0;
}

// As execvp: a name without a slash is looked for in the PATH of the environment given.
static long exec_search(const struct start *s)
{
	const char *name = s->argv[0], *path = path_of(s->env);
	char full[4096];
	long err = -ENOENT;
	size_t name_len = str_len(name);
	while (*path != '\0') {
		size_t n = 0;
		while (path[n] != '\0' && path[n] != ':')
			n++;
		if (n > 0 && n + 1 + name_len < sizeof(full)) {
			mem_copy(full, path, n);
			full[n] = '/';
			mem_copy(full + n + 1, name, name_len + 1);
			long now = sys3(__NR_execve, full, s->argv, s->env);
			if (now != -ENOENT || err == 0)
				err = now;
			if (now != -ENOENT && now != -EACCES && now != -20)
				break;
		}
		path += n + (path[n] == ':');
	}
	return err;
}

static long child_fds(const struct start *s, int *program)
{
	int n = 3, keep = 3;
	long err = 0;
	for (int i = 0; i < 3 && err >= 0; i++)
		err = sys3(__NR_dup3, s->fds[i], i, 0);
	if (err >= 0 && (s->x->flags & EXEC_CHANNEL) != 0) {
		err = sys3(__NR_dup3, s->fds[n++], 3, 0);
		keep = 4;
	}
	*program = (s->x->flags & EXEC_PROGRAM) != 0 ? s->fds[n] : -1;
	if (err >= 0)
		err = sys3(__NR_close_range, keep, ~0u, CLOSE_RANGE_CLOEXEC);
	return err;
}

static int child(void *arg)
{
	struct start *s = arg;
	int program = -1;
	uint64_t none = 0;
	sys0(__NR_setsid);
	sys1(__NR_umask, 022);
	long err = child_fds(s, &program);
	if (err >= 0 && (s->x->flags & EXEC_TERMINAL) != 0)
		err = sys3(__NR_ioctl, 0, TIOCSCTTY, 0);
	if (err >= 0)
		err = sys1(__NR_chdir, s->cwd);
	if (err >= 0) {
		sys4(__NR_rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
		if (program >= 0)
			err = sys5(__NR_execveat, program, "", s->argv, s->env, AT_EMPTY_PATH);
		else if (has_slash(s->argv[0]))
			err = sys3(__NR_execve, s->argv[0], s->argv, s->env);
		else
			err = exec_search(s);
	}
	s->slot->err = (int32_t)-err;
	return 127;
}

void exec_start(const struct init_exec *x, const char *strings, const int *fds, struct program *slot)
{
	struct start s = {x, strings, argv_, env_, fds, slot};
	if (x->argc > STRINGS_MAX || x->envc > STRINGS_MAX) {
		slot->err = E2BIG;
		return;
	}
	strings += str_len(strings) + 1;
	for (uint32_t i = 0; i < x->argc + x->envc; i++) {
		if (i < x->argc)
			argv_[i] = strings;
		else
			env_[i - x->argc] = strings;
		strings += str_len(strings) + 1;
	}
	argv_[x->argc] = NULL;
	env_[x->envc] = NULL;
	long pid = sys_vfork(child, stack_ + sizeof(stack_), &s, &slot->pid);
	if (pid < 0) {
		slot->pid = 0;
		slot->err = (int32_t)-pid;
	}
}

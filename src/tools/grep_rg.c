// The search by ripgrep, where the sandbox has one.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tools/grep.h"
#include "tools/path.h"
#include "tools/text.h"

#define STDERR_MAX ((size_t)1 << 20)

extern char **environ;

// Letter case does not count here: a directory that merely looks like it lies inside is passed over.
static bool is_inside(const char *root, const char *p)
{
	size_t n = strlen(root);
	return n == 1 || (strncasecmp(root, p, n) == 0 && (p[n] == '\0' || p[n] == '/'));
}

char *grep_rg_find(const char *workdir)
{
	struct span rest = span_of(getenv("PATH")), dir;
	AUTO_FREE char *root = NULL;
	AUTO_FREE char *top = path_resolve("/", workdir);
	if (path_canonical(top, &root) != 0)
		return NULL;
	while (rest.len > 0) {
		struct stat st;
		span_cut(rest, ':', &dir, &rest);
		if (dir.len == 0 || dir.data[0] != '/')
			continue;
		AUTO_FREE char *candidate = mem_printf("%.*s/rg", SPAN_FMT(dir));
		if (access(candidate, X_OK) < 0 || stat(candidate, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		AUTO_FREE char *real = realpath(candidate, NULL);
		if (real != NULL && !is_inside(root, real))
			return STEAL(real);
	}
	return NULL;
}

struct run {
	pid_t pid;
	int out, err;
	struct buf out_bytes, err_bytes;
};

static int spawn(const char *rg, const char *pattern, const char *path, int out, int err, pid_t *pid)
{
	const char *argv[] = {"rg", "--no-config", "-n", "--no-heading", "-e", pattern, "--", path, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, err, 2);
	size_t n = 0, kept = 0;
	while (environ[n] != NULL)
		n++;
	char **env = mem_alloc((n + 1) * sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (strncasecmp(environ[i], "ANTHROPIC_", 10) != 0)
			env[kept++] = environ[i];
	env[kept] = NULL;
	int error = posix_spawn(pid, rg, &actions, NULL, (char *const *)argv, env);
	free(env);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

// False at the end of the stream, or when the buffer is full.
static bool read_some(int fd, struct buf *into)
{
	size_t room = into->max - buf_len(into);
	size_t want = room < 65536 ? room : 65536;
	if (want == 0)
		return false;
	ssize_t n = read(fd, buf_reserve(into, want), want);
	if (n > 0)
		buf_commit(into, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void drop_some(int fd, bool *more)
{
	char unused[4096];
	*more = read(fd, unused, sizeof(unused)) > 0;
}

// Reads both streams. False when there is more output than is kept: the program is then killed.
static bool read_all(struct run *r)
{
	struct pollfd fds[2] = {{.fd = r->out, .events = POLLIN}, {.fd = r->err, .events = POLLIN}};
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return false;
		if (fds[0].revents != 0 && !read_some(r->out, &r->out_bytes)) {
			if (buf_len(&r->out_bytes) == r->out_bytes.max)
				return false;
			fds[0].fd = -1;
		}
		if (fds[1].revents != 0) {
			bool more = true;
			if (buf_len(&r->err_bytes) == r->err_bytes.max)
				drop_some(r->err, &more);
			else
				more = read_some(r->err, &r->err_bytes);
			fds[1].fd = more ? r->err : -1;
		}
	}
	return true;
}

static void conclude(struct run *r, bool whole, int status, struct answer *a)
{
	AUTO_BUF struct buf text;
	bool split;
	buf_init(&text, 4 * r->err_bytes.max);
	BUG_ON(!text_decode(buf_span(&r->out_bytes), &text));
	if (!whole || text_units(buf_span(&text)) > GREP_OUTPUT_UNITS) {
		answer_text(a, text_head(buf_span(&text), GREP_OUTPUT_UNITS, &split));
		BUG_ON(!buf_printf(&a->text, "\n[output truncated at %d bytes]", GREP_OUTPUT_UNITS));
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		answer_text(a, buf_span(&text));
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 1) {
		answer_text(a, SPAN_LIT("no matches"));
	} else if (buf_len(&r->err_bytes) > 0) {
		answer_error(a, "grep: rg failed: ");
		BUG_ON(!text_decode(buf_span(&r->err_bytes), &a->text));
	} else if (WIFEXITED(status)) {
		answer_error(a, "grep: rg failed: exit %d", WEXITSTATUS(status));
	} else {
		answer_error(a, "grep: rg failed: exit null");
	}
}

void grep_rg(const char *rg, struct span pattern, const char *path, struct answer *a)
{
	int out[2], err[2];
	struct run r;
	AUTO_FREE char *text = span_dup(pattern);
	if (pipe2(out, O_CLOEXEC) < 0)
		return answer_error(a, "grep: rg failed: %s", strerror(errno));
	AUTO_FD int our_out = out[0], its_out = out[1];
	if (pipe2(err, O_CLOEXEC) < 0)
		return answer_error(a, "grep: rg failed: %s", strerror(errno));
	AUTO_FD int our_err = err[0], its_err = err[1];
	int error = spawn(rg, text, path, its_out, its_err, &r.pid);
	if (error != 0)
		return answer_error(a, "grep: rg failed: spawn %s %s", rg, strerrorname_np(error));
	fd_close(&its_out);
	fd_close(&its_err);
	r.out = our_out;
	r.err = our_err;
	buf_init(&r.out_bytes, 3 * GREP_OUTPUT_UNITS + 4); // more code units than are kept, whatever they are made of
	buf_init(&r.err_bytes, STDERR_MAX);
	int status = 0;
	bool whole = read_all(&r);
	if (!whole)
		kill(r.pid, SIGKILL);
	while (waitpid(r.pid, &status, 0) < 0 && errno == EINTR)
		;
	conclude(&r, whole, status, a);
	buf_fini(&r.out_bytes);
	buf_fini(&r.err_bytes);
}

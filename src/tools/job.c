#include "tools/job.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tools/js.h"
#include "tools/server.h"
#include "tools/tools.h"
#include "tools/wire.h"

#define MEMORY_MAX ((rlim_t)2 << 30)
#define EXIT_ERROR 1 // the answer is an error; anything else but 0 means that there is none

struct job {
	struct job_opts opts;
	pid_t pid;
	int text;
	struct loop_child *child;
	struct loop_timer *timer;
};

// A model can ask for a search that would take all there is; the child's end is then its answer. AddressSanitizer's shadow
// alone is larger than any such limit.
static void limit_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
	struct rlimit limit = {MEMORY_MAX, MEMORY_MAX};
	setrlimit(RLIMIT_AS, &limit);
#endif
}

// Never returns. The child has the program's memory, but none of its descriptors that lead anywhere.
static void run_in_child(const struct job_opts *o, int text)
{
	struct answer a;
	struct err e;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	close(SERVER_CHANNEL);
	limit_memory();
	AUTO_BUF struct buf input;
	buf_init(&input, TOOLS_INPUT_MAX);
	answer_init(&a);
	json_t *parsed = NULL;
	if (failed(wire_bulk_read(o->input, &input, &e)))
		answer_error(&a, "%s: %s", o->name, e.msg);
	else if ((parsed = js_parse(buf_span(&input))) == NULL)
		answer_error(&a, "%s: the input is not valid JSON", o->name);
	else
		o->tool(parsed, o->workdir, &a);
	answer_finish(&a);
	if (failed(fd_write_all(text, a.text.mem + a.text.start, buf_len(&a.text), &e)))
		_exit(2);
	_exit(a.is_error ? EXIT_ERROR : 0);
}

static void free_job(struct job *j)
{
	loop_child_cancel(&j->child);
	loop_timer_cancel(&j->timer);
	fd_close(&j->text);
	free(j);
}

static void ended(void *arg, int code, int status)
{
	struct job *j = arg;
	struct job_opts o = j->opts;
	struct answer a;
	j->child = NULL;
	int text = -1;
	answer_init(&a);
	if (code == CLD_EXITED && (status == 0 || status == EXIT_ERROR)) {
		text = STEAL_FD(j->text);
		a.is_error = status == EXIT_ERROR;
	} else {
		answer_error(&a, "%s: the tool ended without an answer (%s %d)", o.name,
		             code == CLD_EXITED ? "status" : "signal", status);
	}
	free_job(j);
	o.done(o.arg, text, &a);
	answer_fini(&a);
}

static void kill_and_reap(struct job *j)
{
	if (kill(-j->pid, SIGKILL) < 0)
		kill(j->pid, SIGKILL);
	while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void timed_out(void *arg)
{
	struct job *j = arg;
	struct job_opts o = j->opts;
	struct answer a;
	j->timer = NULL;
	job_cancel(j);
	answer_init(&a);
	answer_error(&a, "%s: stopped after %llu ms", o.name, (unsigned long long)o.limit_ms);
	o.done(o.arg, -1, &a);
	answer_fini(&a);
}

struct result job_start(struct loop *l, const struct job_opts *o, struct job **out, struct err *e)
{
	AUTO_FD int text = -1;
	TRY(wire_bulk_new("tool-result", &text, e));
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, "fork");
	if (pid == 0)
		run_in_child(o, text);
	setpgid(pid, pid); // also here, so that it holds before anybody kills the group
	struct job *j = NEW(struct job);
	*j = (struct job){.opts = *o, .pid = pid, .text = STEAL_FD(text)};
	j->child = loop_child_start(l, pid, ended, j);
	j->timer = loop_timer_start(l, o->limit_ms, timed_out, j);
	*out = j;
	return OK;
}

void job_cancel(struct job *j)
{
	if (j == NULL)
		return;
	loop_child_cancel(&j->child);
	kill_and_reap(j);
	free_job(j);
}

#include "sandbox/spawner_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "sandbox/box.h"
#include "sandbox/cgroup.h"
#include "sandbox/idspace.h"
#include "sandbox/image.h"
#include "sandbox/kernel.h"
#include "sandbox/plan.h"
#include "sandbox/report.h"
#include "sandbox/session.h"
#include "sandbox/stage.h"
#include "sandbox/wire.h"

// Signals, descriptors and the like of who started us are not ours, and would be every sandbox's.
static struct result detach(int fd, struct err *e)
{
	struct rlimit files;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return err_sys(e, "follow the parent's end");
	(void)setsid(); // a terminal's ^C is for who started us; we end when that ends
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int signo = 1; signo < 65; signo++)
		(void)signal(signo, SIG_DFL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		return err_sys(e, "/dev/null");
	if ((fd > 3 && close_range(3, (unsigned)fd - 1, 0) != 0) || close_range((unsigned)fd + 1, ~0u, 0) != 0)
		return err_sys(e, "close descriptors");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	return OK;
}

static struct result prepare(const struct spawner_opts *o, struct boxes *b, struct err *e)
{
	struct kernel_landlock landlock;
	char sessions[4200];
	if (o->data_dir != NULL) {
		snprintf(sessions, sizeof(sessions), "%s/worker/sessions", o->data_dir);
		TRY(file_mkdirs(sessions, 0700, e));
	}
	b->cgroup = (struct cgroup){.dirs = {-1, -1, -1}};
	if (!o->no_cgroup)
		cgroup_find(&o->limits, &b->cgroup);
	kernel_landlock(&landlock);
	b->has_workspace = o->workspace != NULL;
	b->workspace.mount_fd = -1;
	idspace_find(&b->ids);
	if (b->has_workspace)
		TRY(workspace_open(o->workspace, &b->ids, &b->workspace, e));
	TRY(idspace_enter(&b->ids, e));
	uint64_t memory = o->limits.memory_bytes > 0 ? o->limits.memory_bytes / 2 : 256u << 20;
	struct stage_opts stage = {.root = o->root,
	                           .sessions = o->data_dir != NULL ? sessions : NULL,
	                           .memory = memory,
	                           .given = o->workspace,
	                           .given_fd = b->workspace.mount_fd};
	TRY(stage_build(&stage, &b->stage, e));
	TRY(kernel_image(image_init, (size_t)(image_init_end - image_init), "/sessions", &b->image, &b->memfd, e));
	if (b->workspace.adopt && chown("/given", b->workspace.tools_id, b->workspace.tools_id) != 0)
		return err_sys(e, "%s: give it to the sandbox", o->workspace);
	b->sessions = open("/sessions", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->sessions < 0)
		return err_sys(e, "the sessions' directory");
	struct plan_opts plan = {.stage = &b->stage,
	                         .landlock = &landlock,
	                         .ranged = b->ids.count > 0,
	                         .setgroups = b->ids.setgroups,
	                         .memory = memory,
	                         .limits = o->limits};
	buf_init(&b->plan, 64 << 10);
	TRY(plan_make(&plan, &b->plan, e));
	b->report = report_make(b, &landlock);
	return OK;
}

void spawner_serve(const struct spawner_opts *o, pid_t parent, int fd)
{
	static struct spawner_word word;
	struct boxes *b = NEW(struct boxes);
	if (failed(detach(fd, &word.err)) || failed(prepare(o, b, &word.err)) || failed(loop_new(&b->loop, &word.err))) {
		(void)send(fd, &word, sizeof(word), MSG_NOSIGNAL);
		_exit(1);
	}
	word.err.kind = ERR_NONE;
	snprintf(word.report, sizeof(word.report), "%s", b->report);
	if (getppid() != parent || send(fd, &word, sizeof(word), MSG_NOSIGNAL) != (ssize_t)sizeof(word))
		_exit(1);
	boxes_serve(b, fd);
	loop_run(b->loop);
	_exit(0);
}

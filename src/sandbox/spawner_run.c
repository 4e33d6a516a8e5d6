// Keeping a role's own process running beside its spawner.
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "sandbox/spawner.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 5000
#define STEADY_MS 10000 // a child that lived this long starts again at once

struct keeper {
	struct loop *loop;
	struct spawner spawner;
	void (*start)(void *arg, int spawner_fd);
	void *arg;
	pid_t child_pid;
	uint64_t born_ms, pause_ms;
	struct loop_child *child, *spawner_end;
	struct loop_timer *again;
	struct loop_signal *term, *intr;
	bool stopping, spawner_died;
	int code;
	struct result result;
	struct err *e;
};

static void child_ended(void *arg, int code, int status);

static struct result child_start(struct keeper *k)
{
	int fd;
	pid_t parent = getpid();
	TRY(spawner_connect(&k->spawner, &fd, k->e));
	k->child_pid = fork();
	if (k->child_pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL); // the loop blocked those it reads
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
			_exit(1);
		close(k->spawner.fd); // the right to end the spawner is its starter's
		k->start(k->arg, fd);
		_exit(1);
	}
	fd_close(&fd);
	if (k->child_pid < 0)
		return err_sys(k->e, "fork");
	k->born_ms = clock_mono_ms();
	k->child = loop_child_start(k->loop, k->child_pid, child_ended, k);
	return OK;
}

static void again(void *arg)
{
	struct keeper *k = arg;
	k->again = NULL;
	k->result = child_start(k);
	if (failed(k->result))
		loop_stop(k->loop);
}

static void child_ended(void *arg, int code, int status)
{
	struct keeper *k = arg;
	k->child = NULL;
	k->child_pid = 0;
	k->code = code == CLD_EXITED ? status : 128 + status;
	if (k->stopping || code == CLD_EXITED) {
		loop_stop(k->loop);
		return;
	}
	bool steady = clock_mono_ms() - k->born_ms >= STEADY_MS;
	uint64_t pause = steady ? 0 : k->pause_ms;
	k->pause_ms = pause == 0 ? PAUSE_MIN_MS : 2 * pause < PAUSE_MAX_MS ? 2 * pause : PAUSE_MAX_MS;
	log_warn("child.killed", "signal=%d again_in_ms=%llu", status, (unsigned long long)pause);
	k->again = loop_timer_start(k->loop, pause, again, k);
}

static void spawner_ended(void *arg, int code, int status)
{
	struct keeper *k = arg;
	k->spawner_end = NULL;
	k->spawner.pid = 0;
	k->spawner_died = true;
	k->stopping = true;
	k->result = err_set(k->e, ERR_SYSTEM, "the spawner ended (%s %d), and every sandbox with it",
	                    code == CLD_EXITED ? "exit status" : "signal", status);
	if (k->child_pid > 0)
		kill(k->child_pid, SIGKILL); // what it has in hand has no outcome any more; its journal knows
	else
		loop_stop(k->loop);
}

static void stop(void *arg)
{
	struct keeper *k = arg;
	k->stopping = true;
	if (k->child_pid > 0)
		kill(k->child_pid, SIGTERM);
	else
		loop_stop(k->loop);
}

struct result spawner_run(const struct spawner_opts *opts, void (*start)(void *arg, int spawner_fd), void *arg, int *code,
                          struct err *e)
{
	struct keeper k = {.start = start, .arg = arg, .e = e, .result = OK};
	TRY(spawner_start(opts, &k.spawner, e));
	struct result r = loop_new(&k.loop, e);
	if (!failed(r)) {
		k.spawner_end = loop_child_start(k.loop, k.spawner.pid, spawner_ended, &k);
		k.term = loop_signal_start(k.loop, SIGTERM, stop, &k);
		k.intr = loop_signal_start(k.loop, SIGINT, stop, &k);
		k.again = loop_timer_start(k.loop, 0, again, &k);
		loop_run(k.loop);
		loop_timer_cancel(&k.again);
		loop_child_cancel(&k.child);
		loop_child_cancel(&k.spawner_end);
		loop_signal_cancel(&k.term);
		loop_signal_cancel(&k.intr);
		loop_free(k.loop);
		r = k.result;
		*code = k.code;
	}
	spawner_stop(&k.spawner);
	return r;
}

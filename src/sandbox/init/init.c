// PID 1 of a sandbox: carries out the plan, keeps the nursery running, reaps.
#include <asm/fcntl.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#include "init.h"

#define SIGINFO_SIZE 128

static union {
	struct plan plan;
	char bytes[PLAN_MAX];
} input_;

static struct programs *programs_;
static long nursery_; // its pid

static long plan_receive(void)
{
	struct sys_iovec iov = {input_.bytes, sizeof(input_.bytes)};
	struct sys_msghdr msg = {.iov = &iov, .iovlen = 1};
	long n = sys3(__NR_recvmsg, INIT_FD_CONTROL, &msg, 0);
	if (n < 0)
		return n;
	return plan_check(&input_.plan, (size_t)n);
}

static long plan_run(uint32_t *where)
{
	const struct plan_step *steps = plan_steps(&input_.plan);
	for (uint32_t i = 0; i < input_.plan.n_steps; i++) {
		*where = i;
		long err = step_run(&input_.plan, &steps[i]);
		if (err < 0)
			return err;
	}
	return 0;
}

static long nursery_start(void)
{
	long pid = sys5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		nursery_main(&input_.plan, programs_);
	nursery_ = pid;
	return pid;
}

// The nursery is gone: its programs are the init's children now. What it knew and did not tell is told, then a new one
// takes over.
static void nursery_again(void)
{
	for (int i = 0; i < PROGRAMS_MAX; i++) {
		struct program *p = &programs_->of[i];
		if (p->id == 0)
			continue;
		if (p->pid == 0) { // the request is still in the socket: the next nursery starts it
			p->id = 0;
			continue;
		}
		if (p->id > programs_->done)
			programs_->done = p->id;
		event_program(p);
	}
	if (nursery_start() < 0)
		sys_exit(1);
}

static void program_ended(long pid, int32_t code, int32_t status)
{
	for (int i = 0; i < PROGRAMS_MAX; i++) {
		struct program *p = &programs_->of[i];
		if (p->id == 0 || p->pid != pid)
			continue;
		if (p->ended == 0) {
			p->code = code;
			p->status = status;
			p->ended = 1;
		}
		event_program(p);
		return;
	}
}

// One child that has ended, if there is one: si_code and, after padding, si_pid, si_uid, si_status of the kernel's siginfo. A
// nursery that a program stopped goes on at once: nobody else could end what it keeps.
static int reap_one(void)
{
	union {
		char bytes[SIGINFO_SIZE];
		int32_t word[SIGINFO_SIZE / 4];
	} info;
	info.word[4] = 0;
	long err = sys5(__NR_waitid, P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG, 0);
	if (err < 0 || info.word[4] == 0)
		return 0;
	if (info.word[2] == CLD_STOPPED) {
		if (info.word[4] == nursery_)
			sys2(__NR_kill, nursery_, SIGCONT);
		else
			program_continue(programs_, info.word[4]); // whose nursery was killed
	} else if (info.word[4] == nursery_)
		nursery_again();
	else
		program_ended(info.word[4], info.word[2], info.word[6]);
	return 1;
}

// Until the spawner is gone: PDEATHSIG says so too, but not when it died before that was set.
__attribute__((noreturn)) static void keep(int signals)
{
	struct sys_pollfd polled[2] = {{INIT_FD_CONTROL, 0, 0}, {signals, SYS_POLLIN, 0}};
	for (;;) {
		char drained[SIGINFO_SIZE];
		long n = sys5(__NR_ppoll, polled, 2, 0, 0, 0);
		if (n > 0 && (polled[0].revents & SYS_POLLHUP) != 0)
			sys_exit(0);
		if (n > 0 && polled[1].revents != 0)
			sys3(__NR_read, signals, drained, sizeof(drained));
		while (reap_one())
			;
	}
}

void init_main(void)
{
	uint32_t where = STAGE_PLAN;
	sys2(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL);
	sys2(__NR_prctl, PR_SET_DUMPABLE, 0);
	sys2(__NR_prctl, PR_SET_NAME, "init");
	sys0(__NR_setsid);
	sys1(__NR_umask, 0);
	long err = sys5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (err >= 0)
		err = plan_receive();
	if (err >= 0)
		err = plan_run(&where);
	if (err >= 0) {
		where = STAGE_CAPS;
		err = fence_init_caps();
	}
	long shared = 0;
	if (err >= 0) {
		where = STAGE_FORK;
		shared = sys6(__NR_mmap, 0, sizeof(struct programs), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		err = shared < 0 && shared > -4096 ? shared : 0;
	}
	uint64_t chld = 1ul << (SIGCHLD - 1);
	long signals = 0;
	if (err >= 0) {
		sys4(__NR_rt_sigprocmask, SIG_SETMASK, &chld, 0, 8);
		signals = err = sys4(__NR_signalfd4, -1, &chld, 8, O_CLOEXEC);
	}
	if (err >= 0) {
		programs_ = (struct programs *)shared;
		err = nursery_start();
	}
	if (err < 0) {
		event_send(EVENT_SETUP_FAILED, where, 0, (int32_t)-err);
		sys_exit(1);
	}
	keep((int)signals);
}

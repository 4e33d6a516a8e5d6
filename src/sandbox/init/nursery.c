// The process below which every program of the sandbox runs. It entered the fences once; a later call can still signal what
// an earlier one started.
#include <asm/fcntl.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <linux/prctl.h>
#include <linux/wait.h>

#include "init.h"

#define FDS_MAX 5

static union {
	struct init_exec exec;
	struct init_signal signal;
	uint32_t kind;
	char bytes[EXEC_MESSAGE_MAX];
} input_;

void event_send(uint32_t kind, uint32_t id, int32_t code, int32_t status)
{
	struct init_event ev = {kind, id, code, status};
	// Blocking: what a sandbox has to say about itself is never dropped. A spawner that is gone ends this process anyway.
	while (sys6(__NR_sendto, INIT_FD_NURSERY, SYS_ARG(&ev), sizeof(ev), SYS_MSG_NOSIGNAL, 0, 0) == -4)
		;
}

void event_program(struct program *p)
{
	if (p->err == 0 && p->told_started == 0) {
		event_send(EVENT_STARTED, p->id, 0, p->pid);
		p->told_started = 1;
	}
	if (p->err != 0 && (p->ended != 0 || p->pid == 0))
		event_send(EVENT_FAILED, p->id, 0, p->err);
	else if (p->ended != 0)
		event_send(EVENT_EXITED, p->id, p->code, p->status);
	if (p->ended != 0 || p->pid == 0) {
		p->pid = 0;
		p->id = 0;
	}
}

void program_continue(const struct programs *ps, int32_t pid)
{
	for (int i = 0; i < PROGRAMS_MAX; i++) {
		if (ps->of[i].id != 0 && ps->of[i].pid == pid && pid > 0)
			sys2(__NR_kill, pid, SIGCONT);
	}
}

static struct program *program_find(struct programs *ps, uint32_t id)
{
	for (int i = 0; i < PROGRAMS_MAX; i++) {
		if (ps->of[i].id == id)
			return &ps->of[i];
	}
	return NULL;
}

// Looks at the next request without taking it, so that a nursery killed before it started the program leaves the request to
// the next one. Descriptors come with the look.
static long request_peek(int *fds, int *n_fds)
{
	union {
		struct sys_cmsghdr head;
		char bytes[sizeof(struct sys_cmsghdr) + FDS_MAX * sizeof(int) + 4];
	} control = {{0}};
	struct sys_iovec iov = {input_.bytes, sizeof(input_.bytes)};
	struct sys_msghdr msg = {.iov = &iov, .iovlen = 1, .control = &control, .controllen = sizeof(control)};
	long n = sys3(__NR_recvmsg, INIT_FD_NURSERY, &msg, SYS_MSG_PEEK | SYS_MSG_CMSG_CLOEXEC);
	*n_fds = 0;
	if (n > 0 && msg.controllen >= sizeof(control.head) && control.head.level == SYS_SOL_SOCKET &&
	    control.head.type == SYS_SCM_RIGHTS) {
		*n_fds = (int)((control.head.len - sizeof(control.head)) / sizeof(int));
		mem_copy(fds, control.bytes + sizeof(control.head), (size_t)*n_fds * sizeof(int));
	}
	return n > 0 && (msg.flags & (SYS_MSG_TRUNC | SYS_MSG_CTRUNC)) != 0 ? 0 : n;
}

static void request_take(void)
{
	char nothing;
	struct sys_iovec iov = {&nothing, 1};
	struct sys_msghdr msg = {.iov = &iov, .iovlen = 1};
	sys3(__NR_recvmsg, INIT_FD_NURSERY, &msg, 0);
}

static int exec_check(const struct init_exec *x, long n, int n_fds)
{
	int want = 3 + ((x->flags & EXEC_CHANNEL) != 0) + ((x->flags & EXEC_PROGRAM) != 0);
	if ((size_t)n < sizeof(*x) || x->len != (size_t)n - sizeof(*x) || n_fds != want || x->id == 0 || x->argc == 0)
		return 0;
	const char *strings = (const char *)(x + 1);
	uint32_t found = 0;
	for (uint32_t i = 0; i < x->len; i++)
		found += strings[i] == '\0';
	return found == 1 + x->argc + x->envc && strings[x->len - 1] == '\0';
}

static void exec_request(struct programs *ps, long n, const int *fds, int n_fds)
{
	const struct init_exec *x = &input_.exec;
	if ((size_t)n >= sizeof(*x) && x->id <= ps->done) { // an earlier nursery did it and did not live to take the request
		request_take();
		return;
	}
	struct program *slot = exec_check(x, n, n_fds) ? program_find(ps, 0) : NULL;
	if (slot != NULL) {
		*slot = (struct program){0};
		slot->id = x->id;
		exec_start(x, (const char *)(x + 1), fds, slot);
	}
	ps->done = x->id;
	if (slot == NULL)
		event_send(EVENT_FAILED, x->id, 0, 11); // EAGAIN: too many programs at once
	else if (slot->pid == 0 || slot->err == 0)
		event_program(slot); // a child whose execve failed is told when it is reaped
	request_take();
}

static int request_handle(struct programs *ps)
{
	int fds[FDS_MAX + 1], n_fds;
	long n = request_peek(fds, &n_fds);
	if (n == -4)
		return 1;
	if (n < (long)sizeof(uint32_t))
		return 0;
	if (input_.kind == REQUEST_EXEC) {
		exec_request(ps, n, fds, n_fds);
	} else {
		const struct program *p = n == sizeof(struct init_signal) ? program_find(ps, input_.signal.id) : NULL;
		if (p != NULL && p->pid > 0 && p->ended == 0 && sys2(__NR_kill, -p->pid, input_.signal.signo) < 0)
			sys2(__NR_kill, p->pid, input_.signal.signo);
		request_take();
	}
	for (int i = 0; i < n_fds; i++)
		sys1(__NR_close, fds[i]);
	return 1;
}

// The end is noted before it is taken: a nursery killed in between leaves it to the init. A program that was stopped goes on:
// whoever waits for it could not tell, and has no other way to continue it.
static int reap_one(struct programs *ps)
{
	union {
		char bytes[128];
		int32_t word[32];
	} info = {{0}};
	long err = sys5(__NR_waitid, P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT, 0);
	if (err < 0 || info.word[4] == 0)
		return 0;
	if (info.word[2] == CLD_STOPPED) {
		sys5(__NR_waitid, P_PID, info.word[4], &info, WSTOPPED | WNOHANG, 0);
		program_continue(ps, info.word[4]);
		return 1;
	}
	for (int i = 0; i < PROGRAMS_MAX; i++) {
		struct program *p = &ps->of[i];
		if (p->id == 0 || p->pid != info.word[4])
			continue;
		p->code = info.word[2];
		p->status = info.word[6];
		p->ended = 1;
		sys5(__NR_waitid, P_PID, p->pid, &info, WEXITED, 0);
		event_program(p);
		return 1;
	}
	sys5(__NR_waitid, P_PID, info.word[4], &info, WEXITED, 0);
	return 1;
}

void nursery_main(const struct plan *p, struct programs *programs)
{
	uint32_t stage = 0;
	sys3(__NR_close_range, INIT_FD_LOCK, ~0u, 0);
	sys1(__NR_close, INIT_FD_CONTROL);
	sys2(__NR_prctl, PR_SET_NAME, "nursery");
	long err = fence_enter(p, &stage);
	uint64_t chld = 1ul << (SIGCHLD - 1);
	long signals = sys4(__NR_signalfd4, -1, &chld, 8, O_CLOEXEC);
	if (err < 0 || signals < 0) {
		event_send(EVENT_SETUP_FAILED, stage, 0, (int32_t) - (err < 0 ? err : signals));
		sys_exit(1);
	}
	event_send(EVENT_READY, 0, 0, 0);
	struct sys_pollfd polled[2] = {{INIT_FD_NURSERY, SYS_POLLIN, 0}, {(int)signals, SYS_POLLIN, 0}};
	for (;;) {
		char drained[128];
		long n = sys5(__NR_ppoll, polled, 2, 0, 0, 0);
		if (n > 0 && polled[1].revents != 0)
			sys3(__NR_read, signals, drained, sizeof(drained));
		while (reap_one(programs))
			;
		if (n > 0 && polled[0].revents != 0 && !request_handle(programs))
			sys_exit(0);
	}
}

#include "provider/selftest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "provider/local.h"
#include "sandbox/image.h"
#include "sandbox/kernel.h"
#include "sandbox/procfs.h"
#include "sandbox/spawner.h"

#define INHERITED_FD 77 // as in probe.c
#define PLANTED_VARIABLE "SALLYPORT_PLANTED"
#define LIMIT_MS 60000

static const struct {
	const char *name, *what;
} meanings[] = {
        {"file", "open a file of the host's"},
        {"process", "see another session's or the host's processes"},
        {"environ", "read another process's environment"},
        {"environment", "find a variable of the worker's in its own environment"},
        {"descriptor", "use a descriptor of the worker's"},
        {"tcp", "connect to a port on the host's loopback"},
        {"abstract", "connect to an abstract unix socket of the host's"},
        {"signal", "signal a process of the host's"},
        {"ptrace", "trace a process"},
        {"memory", "open the memory of the process above it"},
        {"namespace", "make a user namespace"},
        {"mount", "mount a file system"},
        {"sysctl", "open a kernel setting for writing"},
        {"terminal", "push input into a terminal"},
        {"vsock", "open a socket to the hypervisor"},
        {"keyring", "put a key into a kernel keyring"},
        {"io_uring", "set up io_uring"},
        {"privileges", "gain privileges by executing a program"},
};

struct planted {
	char dir[64], file[96], abstract[64], mark[33];
	int image, tcp, unix_socket;
	in_port_t port;
	pid_t pid;
};

struct inside {
	struct planted *planted;
	struct loop *loop;
	struct provider *p;
	struct loop_timer *timer;
	struct selftest *out;
	uint64_t began_us;
	int out_fd; // the probe's output is written there
	struct result result;
	struct err *e;
};

static struct result plant_sockets(struct planted *t, struct err *e)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(in);
	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%s", t->abstract);
	t->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t->unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->tcp < 0 || t->unix_socket < 0 || bind(t->tcp, (struct sockaddr *)&in, sizeof(in)) != 0 ||
	    listen(t->tcp, 8) != 0 || getsockname(t->tcp, (struct sockaddr *)&in, &len) != 0 ||
	    bind(t->unix_socket, (struct sockaddr *)&un, (socklen_t)(sizeof(sa_family_t) + 1 + strlen(t->abstract))) != 0 ||
	    listen(t->unix_socket, 8) != 0)
		return err_sys(e, "plant a socket");
	t->port = ntohs(in.sin_port);
	return OK;
}

static struct result plant(struct planted *t, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	uint64_t bits[2] = {random_u64(), random_u64()};
	bool memfd;
	*t = (struct planted){.image = -1, .tcp = -1, .unix_socket = -1};
	encode_hex(bits, sizeof(bits), t->mark);
	snprintf(t->dir, sizeof(t->dir), "%.40s/sallyport-test.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(t->dir) == NULL || chmod(t->dir, 0755) != 0)
		return err_sys(e, "%s", t->dir);
	snprintf(t->file, sizeof(t->file), "%s/planted", t->dir);
	snprintf(t->abstract, sizeof(t->abstract), "sallyport-%s", t->mark);
	TRY(file_write_atomic(t->file, span_of(t->mark), 0644, e));
	TRY(plant_sockets(t, e));
	TRY(kernel_image(image_probe, (size_t)(image_probe_end - image_probe), t->dir, &t->image, &memfd, e));
	if (!memfd)
		return err_set(e, ERR_DENIED,
		               "the tools of a session are run from a memfd, and this machine runs no program from one: sysctl "
		               "vm.memfd_noexec=1");
	AUTO_FD int file = open(t->file, O_RDONLY | O_CLOEXEC);
	if (file < 0 || dup2(file, INHERITED_FD) < 0 || setenv(PLANTED_VARIABLE, t->mark, 1) != 0)
		return err_sys(e, "plant a descriptor and a variable");
	t->pid = fork();
	if (t->pid == 0) {
		char variable[80];
		snprintf(variable, sizeof(variable), PLANTED_VARIABLE "=%s", t->mark);
		char name[] = "planted", *argv[] = {name, t->mark, NULL}, *env[] = {variable, NULL};
		execveat(t->image, "", argv, env, AT_EMPTY_PATH);
		_exit(127);
	}
	return t->pid > 0 ? OK : err_sys(e, "plant a process");
}

static void uproot(struct planted *t)
{
	if (t->pid > 0) {
		kill(t->pid, SIGKILL);
		while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(INHERITED_FD);
	(void)unsetenv(PLANTED_VARIABLE);
	fd_close(&t->image);
	fd_close(&t->tcp);
	fd_close(&t->unix_socket);
	if (failed(file_remove_tree(t->dir, NULL)))
		fprintf(stderr, "sallyport: %s could not be removed\n", t->dir);
}

// The probe's arguments, in static memory: it is run twice, one after the other.
static const char *const *probe_argv(const struct planted *t, pid_t memory)
{
	static char port[16], pid[16], mem[16];
	static const char *argv[8];
	snprintf(port, sizeof(port), "%u", t->port);
	snprintf(pid, sizeof(pid), "%d", t->pid);
	snprintf(mem, sizeof(mem), "%d", memory);
	const char *const all[8] = {"probe", t->file, port, t->abstract, pid, t->mark, mem, NULL};
	memcpy(argv, all, sizeof(argv));
	return argv;
}

// "NAME ERRNO" lines.
static struct result read_results(int fd, struct selftest *out, bool inside, struct err *e)
{
	char text[4096];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct span rest = span_from(text, n > 0 ? (size_t)n : 0), name;
	unsigned lines = 0;
	while (lines < SELFTEST_MAX && procfs_word(&rest, &name)) {
		struct selftest_try *t = &out->tries[lines++];
		uint64_t err;
		if (!procfs_number(&rest, &err) || err > 255 || name.len >= sizeof(t->name))
			return err_set(e, ERR_CORRUPT, "the self-test's probe wrote \"%.*s\"", SPAN_FMT(span_head(name, 60)));
		snprintf(t->name, sizeof(t->name), "%.*s", SPAN_FMT(name));
		*(inside ? &t->inside : &t->outside) = (int)err;
	}
	if (lines != ARRAY_LEN(meanings))
		return err_set(e, ERR_SYSTEM, "the self-test's probe made %u of %zu attempts %s", lines, ARRAY_LEN(meanings),
		               inside ? "inside" : "outside");
	out->n = lines;
	return OK;
}

static struct result run_outside(const struct planted *t, struct selftest *out, struct err *e)
{
	AUTO_FD int results = memfd_create("outside", MFD_CLOEXEC);
	pid_t pid = fork();
	if (pid == 0) {
		char variable[80];
		snprintf(variable, sizeof(variable), PLANTED_VARIABLE "=%s", t->mark);
		char *env[] = {variable, NULL};
		if (dup2(results, 1) == 1)
			execveat(t->image, "", (char *const *)probe_argv(t, t->pid), env, AT_EMPTY_PATH);
		_exit(127);
	}
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return err_set(e, ERR_SYSTEM, "the self-test's probe could not be run outside");
	return read_results(results, out, false, e);
}

static void give_up(struct inside *s, const struct err *why)
{
	if (!failed(s->result))
		s->result = err_set(s->e, why->kind, "%s", why->msg);
	loop_stop(s->loop);
}

static void timed_out(void *arg)
{
	struct inside *s = arg;
	struct err e;
	s->timer = NULL;
	(void)err_set(&e, ERR_UNREACHABLE, "the self-test was not done within %d s", LIMIT_MS / 1000);
	give_up(s, &e);
}

static void probed(void *arg, int code, int status, const struct err *e)
{
	struct inside *s = arg;
	struct err why;
	if (e == NULL && (code != CLD_EXITED || status != 0))
		(void)err_set(&why, ERR_SYSTEM, "the self-test's probe ended with %d inside", status);
	if (e != NULL || code != CLD_EXITED || status != 0)
		give_up(s, e != NULL ? e : &why);
	loop_stop(s->loop);
}

static void planted_ended(void *arg, int code, int status, const struct err *e)
{
	(void)code;
	(void)status;
	if (e != NULL)
		give_up(arg, e);
}

static void run_program(struct inside *s, struct provider_sandbox *sb, const char *const *argv,
                        void (*exited)(void *arg, int code, int status, const struct err *e))
{
	static const char *const env[] = {"PATH=/usr/bin", NULL};
	struct provider_exec_opts opts = {.argv = argv,
	                                  .program_fd = s->planted->image,
	                                  .env = env,
	                                  .stdin_fd = -1,
	                                  .stdout_fd = s->out_fd,
	                                  .stderr_fd = -1};
	s->p->ops->exec(s->p, sb, &opts, exited, s);
}

// The second sandbox is there: the first one has a process with the mark in it, this one looks for it.
static void second_made(void *arg, struct provider_sandbox *sb, bool found, const struct err *e)
{
	struct inside *s = arg;
	(void)found;
	if (e != NULL) {
		give_up(s, e);
		return;
	}
	s->out->create_ms = (double)(clock_mono_us() - s->began_us) / 1000;
	run_program(s, sb, probe_argv(s->planted, 1), probed);
}

static void first_made(void *arg, struct provider_sandbox *sb, bool found, const struct err *e)
{
	struct inside *s = arg;
	(void)found;
	if (e != NULL) {
		give_up(s, e);
		return;
	}
	const char *const argv[] = {"planted", s->planted->mark, NULL};
	run_program(s, sb, argv, planted_ended);
	s->began_us = clock_mono_us();
	s->p->ops->create(s->p, "second", second_made, s);
}

static struct result run_inside(struct planted *t, const struct spawner *spawner, struct selftest *out, struct err *e)
{
	struct inside s = {.planted = t, .out = out, .e = e, .result = OK};
	int fd;
	AUTO_FD int results = memfd_create("inside", MFD_CLOEXEC);
	s.out_fd = results;
	TRY(spawner_connect(spawner, &fd, e));
	TRY(loop_new(&s.loop, e));
	s.p = provider_local_new(s.loop, fd, NULL, NULL);
	s.timer = loop_timer_start(s.loop, LIMIT_MS, timed_out, &s);
	s.p->ops->create(s.p, "first", first_made, &s);
	loop_run(s.loop);
	loop_timer_cancel(&s.timer);
	s.p->ops->free(s.p);
	loop_free(s.loop);
	return failed(s.result) ? FAIL : read_results(results, out, true, e);
}

static void judge(struct selftest *out)
{
	for (unsigned i = 0; i < out->n; i++) {
		struct selftest_try *t = &out->tries[i];
		for (size_t k = 0; k < ARRAY_LEN(meanings); k++) {
			if (strcmp(meanings[k].name, t->name) == 0)
				t->what = meanings[k].what;
		}
		t->state = t->inside == 0 ? SELFTEST_OPEN : t->outside == 0 ? SELFTEST_HELD : SELFTEST_MOOT;
		out->held += t->state == SELFTEST_HELD;
		out->moot += t->state == SELFTEST_MOOT;
		out->open += t->state == SELFTEST_OPEN;
	}
}

struct result selftest_run(struct selftest *out, struct err *e)
{
	struct planted planted;
	struct spawner spawner;
	*out = (struct selftest){0};
	struct result r = plant(&planted, e);
	if (!failed(r)) {
		struct spawner_opts opts = {.root = "host-usr", .limits = {.processes = 64, .files = 256}};
		r = spawner_start(&opts, &spawner, e);
		if (!failed(r)) {
			r = run_outside(&planted, out, e);
			if (!failed(r))
				r = run_inside(&planted, &spawner, out, e);
			out->report = mem_strdup(spawner.report);
			spawner_stop(&spawner);
		}
	}
	uproot(&planted);
	if (failed(r))
		out->n = 0; // half of the attempts show nothing
	judge(out);
	return r;
}

void selftest_fini(struct selftest *t)
{
	free(STEAL(t->report));
}

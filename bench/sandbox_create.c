// From asking for a sandbox to knowing that the first command in it has ended: ours, bubblewrap with comparable namespaces
// and mounts, and the floor: a bare clone into the same namespaces that executes the same static program. Alternating, in one
// run. The command is a static program that exits at once, so that nobody's dynamic linking is measured.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "provider/local.h"
#include "sandbox/image.h"
#include "sandbox/kernel.h"
#include "sandbox/spawner.h"

#define ROUNDS 200
#define WARM_UP 10
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

struct bench {
	char dir[64], program[80], workspace[80];
	int image;
	struct spawner spawner;
	struct loop *loop;
	struct provider *p;
	struct provider_sandbox *sb;
	struct err err;
	bool failed;
};

static void stop(struct bench *b, const struct err *e)
{
	if (e != NULL) {
		b->failed = true;
		fprintf(stderr, "sandbox_create: %s\n", e->msg);
	}
	loop_stop(b->loop);
}

static void exited(void *arg, int code, int status, const struct err *e)
{
	(void)code;
	(void)status;
	stop(arg, e);
}

static void created(void *arg, struct provider_sandbox *sb, bool found, const struct err *e)
{
	struct bench *b = arg;
	static const char *const argv[] = {"noop", NULL}, *const env[] = {NULL};
	(void)found;
	b->sb = sb;
	if (e != NULL) {
		stop(b, e);
		return;
	}
	struct provider_exec_opts opts = {
	        .argv = argv, .program_fd = b->image, .env = env, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	b->p->ops->exec(b->p, sb, &opts, exited, b);
}

static void killed(void *arg, const struct err *e)
{
	stop(arg, e);
}

static double ours(struct bench *b, int round)
{
	char session[32];
	snprintf(session, sizeof(session), "bench-%d", round);
	uint64_t begin = clock_mono_us();
	b->p->ops->create(b->p, session, created, b);
	loop_run(b->loop);
	double ms = (double)(clock_mono_us() - begin) / 1000;
	if (b->sb != NULL) {
		b->p->ops->kill(b->p, b->sb, true, killed, b);
		loop_run(b->loop);
	}
	return ms;
}

static double spawned(int (*run)(void *), void *arg, int flags)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status;
	uint64_t begin = clock_mono_us();
	pid_t pid = clone(run, stack + sizeof(stack), flags | CLONE_VM | CLONE_VFORK | SIGCHLD, arg);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
		return -1;
	return (double)(clock_mono_us() - begin) / 1000;
}

static int run_floor(void *arg)
{
	const struct bench *b = arg;
	char name[] = "noop", *argv[] = {name, NULL}, *env[] = {NULL};
	execveat(b->image, "", argv, env, AT_EMPTY_PATH);
	_exit(127);
}

static int run_bwrap(void *arg)
{
	const struct bench *b = arg;
	const char *argv[] = {"bwrap",
	                      "--unshare-all",
	                      "--unshare-user",
	                      "--uid",
	                      "1000",
	                      "--gid",
	                      "1000",
	                      "--die-with-parent",
	                      "--new-session",
	                      "--clearenv",
	                      "--ro-bind",
	                      "/usr",
	                      "/usr",
	                      "--symlink",
	                      "usr/bin",
	                      "/bin",
	                      "--symlink",
	                      "usr/sbin",
	                      "/sbin",
	                      "--symlink",
	                      "usr/lib",
	                      "/lib",
	                      "--symlink",
	                      "usr/lib64",
	                      "/lib64",
	                      "--ro-bind",
	                      "/etc/ssl",
	                      "/etc/ssl",
	                      "--ro-bind",
	                      "/etc/alternatives",
	                      "/etc/alternatives",
	                      "--ro-bind",
	                      "/etc/passwd",
	                      "/etc/passwd",
	                      "--proc",
	                      "/proc",
	                      "--dev",
	                      "/dev",
	                      "--tmpfs",
	                      "/tmp",
	                      "--dir",
	                      "/run",
	                      "--bind",
	                      b->workspace,
	                      "/workspace",
	                      "--ro-bind",
	                      b->program,
	                      "/noop",
	                      "--chdir",
	                      "/workspace",
	                      "--cap-drop",
	                      "ALL",
	                      "/noop",
	                      NULL};
	execv("/usr/bin/bwrap", (char *const *)argv);
	_exit(127);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static struct result setup(struct bench *b, struct err *e)
{
	int fd;
	bool memfd;
	snprintf(b->dir, sizeof(b->dir), "/tmp/sallyport-bench.XXXXXX");
	if (mkdtemp(b->dir) == NULL || chmod(b->dir, 0755) != 0)
		return err_sys(e, "%s", b->dir);
	snprintf(b->program, sizeof(b->program), "%s/noop", b->dir);
	snprintf(b->workspace, sizeof(b->workspace), "%s/workspace", b->dir);
	struct span image = {image_probe, (size_t)(image_probe_end - image_probe)};
	TRY(file_write_atomic(b->program, image, 0755, e));
	TRY(file_mkdirs(b->workspace, 0755, e));
	TRY(kernel_image(image.data, image.len, b->dir, &b->image, &memfd, e));
	// Without cgroup limits: bubblewrap sets none. What they cost is a figure of its own.
	struct spawner_opts opts = {.data_dir = b->dir,
	                            .root = "host-usr",
	                            .no_cgroup = getenv("BENCH_CGROUP") == NULL,
	                            .limits = {.processes = 64, .files = 256}};
	TRY(spawner_start(&opts, &b->spawner, e));
	TRY(spawner_connect(&b->spawner, &fd, e));
	TRY(loop_new(&b->loop, e));
	b->p = provider_local_new(b->loop, fd, NULL, NULL);
	return OK;
}

int main(void)
{
	static struct bench b;
	static double t[3][ROUNDS];
	int rounds = getenv("SALLYPORT_BENCH_QUICK") != NULL ? ROUNDS / 20 : ROUNDS;
	bool bwrap = access("/usr/bin/bwrap", X_OK) == 0;
	if (failed(setup(&b, &b.err))) {
		printf("{\"name\": \"sandbox.create\", \"skipped\": \"%s\"}\n", b.err.msg);
		return 0;
	}
	for (int i = -WARM_UP; i < rounds && !b.failed; i++) {
		double r[3] = {ours(&b, i + WARM_UP), bwrap ? spawned(run_bwrap, &b, 0) : 0,
		               spawned(run_floor, &b, NAMESPACES)};
		for (int k = 0; k < 3 && i >= 0; k++)
			t[k][i] = r[k];
		if (r[1] < 0 || r[2] < 0) {
			fprintf(stderr, "sandbox_create: a peer failed (bubblewrap %.1f, floor %.1f)\n", r[1], r[2]);
			b.failed = true;
		}
	}
	b.p->ops->free(b.p);
	loop_free(b.loop);
	spawner_stop(&b.spawner);
	if (failed(file_remove_tree(b.dir, &b.err)))
		fprintf(stderr, "sandbox_create: %s\n", b.err.msg);
	if (b.failed)
		return 1;
	printf("{\"name\": \"sandbox.create\", \"unit\": \"ms\", \"ours\": %.3f, \"peers\": {", median(t[0], rounds));
	if (bwrap)
		printf("\"bubblewrap\": %.3f, ", median(t[1], rounds));
	printf("\"clone floor\": %.3f}, \"note\": \"create to first command's end, static no-op, median of %d, "
	       "alternating\"}\n",
	       median(t[2], rounds), rounds);
	return 0;
}

// sallyport sandbox run: any program in the sandbox that sessions get.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/sandbox_stdio.h"
#include "net/loop.h"
#include "provider/local.h"
#include "sandbox/spawner.h"

#define SESSION "run"

struct run {
	struct loop *loop;
	struct provider *provider;
	struct provider_sandbox *sandbox;
	struct sandbox_stdio *io;
	const char *const *argv;
	uint32_t exec;
	struct loop_signal *signals[3];
	int code;
	bool failed;
	struct err err;
};

static void finish(struct run *r, const struct err *e)
{
	if (e != NULL) {
		r->failed = true;
		r->err = *e;
	}
	if (r->io != NULL)
		sandbox_stdio_finish(STEAL(r->io));
	loop_stop(r->loop); // the sandbox ends with the spawner
}

static void exited(void *arg, int code, int status, const struct err *e)
{
	struct run *r = arg;
	r->code = code == CLD_EXITED ? status : 128 + status;
	struct err why;
	if (e != NULL) {
		why = *e;
		(void)err_prefix(&why, "%s", r->argv[0]);
	}
	finish(r, e == NULL ? NULL : &why);
}

static void created(void *arg, struct provider_sandbox *sb, bool found, const struct err *e)
{
	struct run *r = arg;
	char term[128];
	(void)found;
	r->sandbox = sb;
	if (e == NULL && failed(sandbox_stdio_new(r->loop, &r->io, &r->err))) {
		r->io = NULL;
		struct err why = r->err;
		finish(r, &why);
		return;
	}
	if (e != NULL) {
		finish(r, e);
		return;
	}
	const char *type = getenv("TERM");
	snprintf(term, sizeof(term), "TERM=%s", sandbox_stdio_terminal(r->io) && type != NULL ? type : "dumb");
	const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
	                           "HOME=/home/agent",
	                           "USER=agent",
	                           "LANG=C.UTF-8",
	                           term,
	                           NULL};
	struct provider_exec_opts opts = {.argv = r->argv,
	                                  .program_fd = -1,
	                                  .env = env,
	                                  .stdin_fd = sandbox_stdio_fd(r->io, 0),
	                                  .stdout_fd = sandbox_stdio_fd(r->io, 1),
	                                  .stderr_fd = sandbox_stdio_fd(r->io, 2)};
	r->provider->ops->exec(r->provider, sb, &opts, exited, r);
	r->exec = provider_local_last_exec(r->provider);
	sandbox_stdio_start(r->io);
}

static void pass_on(struct run *r, int signo)
{
	if (r->sandbox != NULL)
		provider_local_signal(r->provider, r->sandbox, r->exec, signo);
}

static void on_int(void *arg)
{
	pass_on(arg, SIGINT);
}

static void on_term(void *arg)
{
	pass_on(arg, SIGTERM);
}

static void on_hup(void *arg)
{
	pass_on(arg, SIGHUP);
}

static struct result drive(struct run *r, const struct spawner *s, struct err *e)
{
	int fd;
	TRY(loop_new(&r->loop, e));
	TRY(spawner_connect(s, &fd, e));
	r->provider = provider_local_new(r->loop, fd, NULL, NULL);
	r->signals[0] = loop_signal_start(r->loop, SIGINT, on_int, r);
	r->signals[1] = loop_signal_start(r->loop, SIGTERM, on_term, r);
	r->signals[2] = loop_signal_start(r->loop, SIGHUP, on_hup, r);
	r->provider->ops->create(r->provider, SESSION, created, r);
	loop_run(r->loop);
	for (size_t i = 0; i < ARRAY_LEN(r->signals); i++)
		loop_signal_cancel(&r->signals[i]);
	r->provider->ops->free(r->provider);
	loop_free(r->loop);
	if (r->failed)
		*e = r->err;
	return r->failed ? FAIL : OK;
}

static int run(const struct cli_args *a, struct err *e)
{
	struct run r = {0};
	struct spawner spawner;
	const char *root = cli_value(a, "root");
	(void)cli_rest(a, &r.argv);
	struct spawner_opts opts = {.root = root != NULL ? root : "host-usr",
	                            .limits = {.memory_bytes = 2ull << 30, .processes = 256, .files = 1024},
	                            .workspace = cli_value(a, "workspace")};
	struct result result = spawner_start(&opts, &spawner, e);
	if (!failed(result)) {
		result = drive(&r, &spawner, e);
		spawner_stop(&spawner);
	}
	return failed(result) ? CLI_FAILED : r.code;
}

static const struct cli_option options[] = {
        {"root", "DIR", "a directory to use as the read-only root instead of this machine's /usr"},
        {"workspace", "DIR",
         "a directory to use as /workspace; without it, an empty one in memory, at most 1 GiB, gone at the end"},
        {0},
};

const struct cli_command cmd_sandbox_run = {
        .name = "sandbox run",
        .synopsis = "-- COMMAND [ARG...]",
        .summary = "run any program in a sandbox as sessions have it",
        .description =
                "Makes a sandbox, runs COMMAND in it and removes it again: its own user, process, network and other "
                "namespaces, no "
                "capabilities, this machine's /usr to read and nothing else of it, /workspace and /tmp to write, no network. "
                "The "
                "program gets a small environment of its own, and standard input, output and error.\n\n"
                "The exit status is COMMAND's, or 128 and the number of the signal that ended it.",
        .options = options,
        .rest_min = 1,
        .rest_max = 100000,
        .run = run,
};

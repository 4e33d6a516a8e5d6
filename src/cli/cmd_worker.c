// sallyport worker: the process that stands above the spawner and the poller. It reads no secret: what it would have to (a key
// in its environment) it hands on unread to the poller, and wipes.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/worker_setup.h"
#include "net/admin.h"
#include "sandbox/spawner.h"
#include "worker/worker.h"

#define KEY_VARIABLE "ANTHROPIC_ENVIRONMENT_KEY"
#define ARGS_MAX 24

struct launch {
	const struct cli_args *a;
	const struct worker_setup *s;
	int key_fd; // -1, or a memfd with the key
};

// A key in the environment can be read by whoever may read this process's memory or /proc entry, and stays there; so it goes
// into a file of memory that only the poller gets, before the spawner is forked.
static struct result take_key_from_environment(int *fd, struct err *e)
{
	const char *key = getenv(KEY_VARIABLE);
	BUG_ON(key == NULL); // or there is a key file
	*fd = memfd_create("key", MFD_CLOEXEC);
	if (*fd < 0)
		return err_sys(e, "memfd_create");
	TRY(fd_write_all(*fd, key, strlen(key), e));
	log_warn("worker.key_in_environment",
	         "variable=" KEY_VARIABLE " advice=\"a process's environment is easily read; use --environment-key-file\"");
	return OK;
}

static void wipe_environment_key(void)
{
	char *key = getenv(KEY_VARIABLE);
	if (key != NULL)
		mem_wipe(key, strlen(key));
	unsetenv(KEY_VARIABLE);
}

static void hand_over(int fd)
{
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, 0);
}

static void start_poller(void *arg, int spawner_fd)
{
	const struct launch *l = arg;
	const char *argv[ARGS_MAX];
	char spawner[16], key[16], idle[32];
	const char *lease = cli_value(l->a, "lease");
	const char *ready = cli_value(l->a, "ready-fd");
	size_t n = 0;
	snprintf(spawner, sizeof(spawner), "%d", spawner_fd);
	snprintf(key, sizeof(key), "%d", l->key_fd);
	snprintf(idle, sizeof(idle), "%llums", (unsigned long long)l->s->max_idle_ms);
	argv[n++] = "sallyport";
	argv[n++] = "worker-poller";
	argv[n++] = "--config";
	argv[n++] = l->s->config->path;
	argv[n++] = "--environment";
	argv[n++] = l->s->environment;
	argv[n++] = "--base-url";
	argv[n++] = l->s->base_url;
	argv[n++] = "--max-idle";
	argv[n++] = idle;
	argv[n++] = "--spawner-fd";
	argv[n++] = spawner;
	argv[n++] = l->key_fd >= 0 ? "--key-fd" : "--environment-key-file";
	argv[n++] = l->key_fd >= 0 ? key : l->s->key_file;
	if (lease != NULL) {
		argv[n++] = "--lease";
		argv[n++] = lease;
	}
	if (ready != NULL) {
		argv[n++] = "--ready-fd";
		argv[n++] = ready;
	}
	if (cli_json(l->a))
		argv[n++] = "--json";
	argv[n] = NULL;
	hand_over(spawner_fd);
	hand_over(l->key_fd);
	execv("/proc/self/exe", (char *const *)argv);
	log_error("worker.exec_failed", "errno=%m");
}

// Someone without a configuration has no recorder running either, and nothing runs unrecorded.
static struct result start_recorder(const struct worker_setup *s, pid_t *recorder, struct err *e)
{
	AUTO_FREE char *socket = config_socket(s->config, "recorder");
	char number[16], byte;
	int ends[2];
	if (access(socket, F_OK) == 0) {
		AUTO_JSON json_t *ask = json_pack("{s:s}", "do", "ready"), *answer = NULL;
		if (!failed(admin_call(socket, ask, 1000, &answer, NULL)))
			return OK;
	}
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_sys(e, "pipe");
	snprintf(number, sizeof(number), "%d", ends[1]);
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		(void)fcntl(ends[1], F_SETFD, 0);
		(void)setpgid(0, 0); // a terminal's Ctrl-C is for the worker, which still has outcomes to record
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent)
			execl("/proc/self/exe", "sallyport", "recorder", "--config", s->config->path, "--ready-fd", number,
			      (char *)NULL);
		_exit(127);
	}
	fd_close(&ends[1]);
	struct result r = pid < 0 ? err_sys(e, "fork") : fd_read_all(ends[0], &byte, 1, e);
	fd_close(&ends[0]);
	*recorder = pid > 0 ? pid : 0;
	return failed(r) ? err_set(e, ERR_SYSTEM, "the recorder did not start, and nothing runs unrecorded") : OK;
}

static struct result run_all(const struct cli_args *a, const struct worker_setup *s, int *code, struct err *e)
{
	const struct spawner_opts spawner = {
	        .data_dir = s->config->data_dir, .root = s->config->worker.root, .limits = s->config->worker.limits};
	struct launch l = {.a = a, .s = s, .key_fd = -1};
	struct result r = OK;
	pid_t recorder = 0;
	if (s->key_file == NULL)
		r = take_key_from_environment(&l.key_fd, e);
	wipe_environment_key();
	if (!failed(r) && s->home)
		r = start_recorder(s, &recorder, e);
	if (!failed(r))
		r = spawner_run(&spawner, start_poller, &l, code, e);
	fd_close(&l.key_fd);
	if (recorder > 0) {
		kill(recorder, SIGTERM);
		(void)waitpid(recorder, NULL, 0);
	}
	return r;
}

static int run_worker(const struct cli_args *a, struct err *e)
{
	struct worker_setup s;
	int code = 0;
	log_init("worker", LOG_LEVEL_INFO, cli_json(a) ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	struct result r = worker_setup_read(&s, a, e);
	if (!failed(r))
		r = run_all(a, &s, &code, e);
	worker_setup_fini(&s);
	return failed(r) ? CLI_FAILED : code;
}

const struct cli_command cmd_worker = {
        .name = "worker",
        .summary = "serve an environment: run its sessions' tools in sandboxes here",
        .description =
                "Polls the environment's work queue (Sallyport's control or the hosted service: the protocol is the same), "
                "gives\n"
                "each session a sandbox, runs its tool calls there and posts the results. All connections go out; it listens "
                "on\n"
                "nothing but data_dir/run/worker.sock. No call is run twice: one whose outcome is unknown is answered so.\n"
                "\n"
                "Without a configuration it takes ANTHROPIC_ENVIRONMENT_ID and --environment-key-file, serves the hosted\n"
                "service, and keeps its data and audit log below /var/lib/sallyport (root) or ~/.local/state/sallyport.\n"
                "\n"
                "SIGTERM gives the sessions back: what runs may end within 20 seconds, and all is over within 30.",
        .options = worker_setup_options,
        .run = run_worker,
};

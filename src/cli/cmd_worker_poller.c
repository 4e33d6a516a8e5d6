// sallyport worker-poller: the part of the worker that holds the environment key and talks to the network.
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/worker_setup.h"
#include "sandbox/lockdown.h"
#include "worker/worker.h"

#define KEY_MAX 4096

struct poller {
	const struct cli_args *a;
	const struct worker_setup *s;
};

// To whoever started the worker: its process id is our parent's. One that was told already, before this poller was started in
// place of another, is not listening any more.
static void ready(void *arg)
{
	const struct poller *p = arg;
	const char *value = cli_value(p->a, "ready-fd");
	uint64_t n;
	if (value == NULL || failed(span_to_u64(span_of(value), 1 << 20, "--ready-fd", &n, NULL)))
		return;
	AUTO_JSON json_t *j = json_pack("{s:s, s:i, s:i, s:s, s:s}", "role", "worker", "pid", (int)getppid(), "poller",
	                                (int)getpid(), "address", p->s->base_url, "environment", p->s->environment);
	AUTO_FREE char *text = json_text(j, NULL), *line = mem_printf("%s\n", text);
	int fd = (int)n;
	(void)!write(fd, line, strlen(line));
	fd_close(&fd);
}

static struct result descriptor(const struct cli_args *a, const char *option, int *fd, struct err *e)
{
	const char *value = cli_value(a, option);
	uint64_t n;
	if (value == NULL || failed(span_to_u64(span_of(value), 1 << 20, option, &n, e)))
		return err_set(e, ERR_MISUSED, "this process is started by the worker\ntype: sallyport worker");
	*fd = (int)n;
	return OK;
}

static struct result read_key(const struct cli_args *a, const struct worker_setup *s, struct buf *key, struct err *e)
{
	int fd = -1;
	if (cli_value(a, "key-fd") == NULL)
		return file_read_key(s->key_file, key, e);
	TRY(descriptor(a, "key-fd", &fd, e));
	char *to = buf_reserve(key, KEY_MAX - 1);
	ssize_t n = pread(fd, to, KEY_MAX - 1, 0);
	if (n <= 0)
		return err_set(e, ERR_NOT_FOUND, "the environment key is empty");
	buf_commit(key, (size_t)n);
	fd_close(&fd);
	return span_is_visible(buf_span(key))
	               ? OK
	               : err_set(e, ERR_INVALID, "the environment key holds a space or another character that no key has");
}

static struct result run_poller(const struct cli_args *a, const struct worker_setup *s, struct err *e)
{
	struct poller p = {a, s};
	struct buf key;
	int spawner_fd;
	TRY(lockdown_harden(e));
	TRY(descriptor(a, "spawner-fd", &spawner_fd, e));
	buf_init(&key, KEY_MAX);
	struct result r = read_key(a, s, &key, e);
	const struct worker_opts opts = {.config = s->config,
	                                 .environment = s->environment,
	                                 .base_url = s->base_url,
	                                 .key = buf_str(&key),
	                                 .max_idle_ms = s->max_idle_ms,
	                                 .lease_ttl_s = s->lease_ms / 1000,
	                                 .spawner_fd = spawner_fd,
	                                 .ready = ready,
	                                 .arg = &p};
	if (!failed(r))
		r = worker_run(&opts, e);
	if (key.mem != NULL)
		mem_wipe(key.mem, key.cap);
	buf_fini(&key);
	return r;
}

static int run(const struct cli_args *a, struct err *e)
{
	struct worker_setup s;
	log_init("worker", LOG_LEVEL_INFO, cli_json(a) ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	struct result r = worker_setup_read(&s, a, e);
	if (!failed(r))
		r = run_poller(a, &s, e);
	worker_setup_fini(&s);
	return failed(r) ? CLI_FAILED : 0;
}

const struct cli_command cmd_worker_poller = {
        .name = "worker-poller",
        .summary = "the worker's part that polls",
        .options = worker_setup_options,
        .run = run,
        .hidden = true,
};

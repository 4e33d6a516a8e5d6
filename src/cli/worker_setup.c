#include "cli/worker_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/ready.h"

#define HOSTED_URL "https://api.anthropic.com"

const struct cli_option worker_setup_options[] = {
        {"environment", "ID", "the environment to serve (or ANTHROPIC_ENVIRONMENT_ID)"},
        {"environment-key-file", "FILE", "the file with its key"},
        {"base-url", "URL", "the control plane (or ANTHROPIC_BASE_URL; " HOSTED_URL ")"},
        {"max-idle", "DURATION", "give a session back when it was idle for so long (60s; 0: never)"},
        {"lease", "DURATION", "ask for leases of so long (5s to 5m): a session of a worker that died waits so long"},
        READY_OPTION,
        {"spawner-fd", "N", "(set by the worker itself)"},
        {"key-fd", "N", "(set by the worker itself)"},
        {0},
};

static const char *or_null(const char *s)
{
	return s != NULL && s[0] != '\0' ? s : NULL;
}

static const char *first_of(const char *a, const char *b, const char *c, const char *d)
{
	return a != NULL ? a : b != NULL ? b : c != NULL ? c : d;
}

static struct result read_duration(const char *option, const char *text, uint64_t *ms, struct err *e)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	struct span all = span_of(text), digits = all;
	while (digits.len > 0 && (digits.data[digits.len - 1] < '0' || digits.data[digits.len - 1] > '9'))
		digits.len--;
	struct span unit = span_skip(all, digits.len);
	uint64_t n;
	if (failed(span_to_u64(digits, 1000000, option, &n, e))) {
		e->kind = ERR_MISUSED;
		return FAIL;
	}
	if (unit.len == 0 && n == 0) {
		*ms = 0;
		return OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (span_is(unit, units[i].suffix)) {
			*ms = n * units[i].ms;
			return OK;
		}
	}
	return err_set(e, ERR_MISUSED, "%s: '%.40s' is no duration\ntype for example 500ms, 60s or 5m", option, text);
}

// Where the worker of somebody who has no configuration keeps its own.
static char *home_dir(void)
{
	const char *state = or_null(getenv("XDG_STATE_HOME")), *home = or_null(getenv("HOME"));
	if (state != NULL && state[0] == '/')
		return mem_printf("%s/sallyport", state);
	if (geteuid() == 0)
		return mem_strdup("/var/lib/sallyport/worker-home");
	return home == NULL ? NULL : mem_printf("%s/.local/state/sallyport", home);
}

static struct result run_init(const char *dir, struct err *e)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "sallyport", "init", dir, "-q", (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return err_sys(e, "sallyport init %s", dir);
	return status == 0 ? OK : err_set(e, ERR_SYSTEM, "sallyport init %s failed\nsee above, or name a --config", dir);
}

static struct result load_home(struct worker_setup *s, struct err *e)
{
	s->home = true;
	s->home_dir = home_dir();
	if (s->home_dir == NULL)
		return err_set(e, ERR_NOT_FOUND,
		               "there is no configuration, and HOME says nowhere to keep one\nname one with --config");
	AUTO_FREE char *path = mem_printf("%s/sallyport.yaml", s->home_dir);
	if (access(path, F_OK) != 0) {
		TRY(file_mkdirs(s->home_dir, 0700, e));
		TRY(run_init(s->home_dir, e));
		log_info("worker.home", "dir=%s", s->home_dir);
	}
	return config_load(path, &s->config, e);
}

static struct result load(struct worker_setup *s, const struct cli_args *a, bool can_do_without, struct err *e)
{
	char found[4096];
	const char *path = cli_value(a, "config");
	if (path != NULL)
		return config_load(path, &s->config, e);
	if (!failed(config_find(found, e)))
		return config_load(found, &s->config, e);
	return can_do_without ? load_home(s, e) : FAIL;
}

struct result worker_setup_read(struct worker_setup *s, const struct cli_args *a, struct err *e)
{
	const char *env_id = or_null(getenv("ANTHROPIC_ENVIRONMENT_ID")), *env_url = or_null(getenv("ANTHROPIC_BASE_URL"));
	const char *env_key = or_null(getenv("ANTHROPIC_ENVIRONMENT_KEY")), *id = cli_value(a, "environment");
	const char *key_file = cli_value(a, "environment-key-file"), *idle = cli_value(a, "max-idle");
	const char *lease = cli_value(a, "lease");
	bool named = cli_value(a, "config") != NULL;
	*s = (struct worker_setup){0};
	TRY(load(s, a, (id != NULL || env_id != NULL) && (key_file != NULL || env_key != NULL), e));
	const struct config_worker *w = &s->config->worker;
	// The file's own values are meant for what the file says elsewhere; a home's were made up by init.
	const char *file_id = s->home ? NULL : w->environment, *file_url = s->home ? NULL : w->base_url;
	const char *file_key = s->home ? NULL : w->environment_key_file;
	s->environment = named ? first_of(id, file_id, env_id, NULL) : first_of(id, env_id, file_id, NULL);
	s->base_url = named ? first_of(cli_value(a, "base-url"), file_url, env_url, HOSTED_URL)
	                    : first_of(cli_value(a, "base-url"), env_url, file_url, HOSTED_URL);
	bool by_environment = key_file == NULL && env_key != NULL && !(named && file_key != NULL);
	s->key_file = by_environment ? NULL : first_of(key_file, file_key, NULL, NULL);
	s->max_idle_ms = s->home ? 60000 : w->max_idle_ms;
	if (idle != NULL)
		TRY(read_duration("--max-idle", idle, &s->max_idle_ms, e));
	if (lease != NULL)
		TRY(read_duration("--lease", lease, &s->lease_ms, e));
	if (lease != NULL && (s->lease_ms < 5000 || s->lease_ms > 300000))
		return err_set(e, ERR_MISUSED, "--lease: %s is not within 5s to 5m", lease);
	if (s->environment == NULL)
		return err_set(e, ERR_NOT_FOUND,
		               "which environment to serve is not said\ngive --environment ID, or worker.environment in %s",
		               s->config->path);
	if (s->key_file == NULL && !by_environment && cli_value(a, "key-fd") == NULL)
		return err_set(e, ERR_NOT_FOUND,
		               "the environment's key is not given\ngive --environment-key-file FILE, or "
		               "worker.environment_key_file in %s",
		               s->config->path);
	return OK;
}

void worker_setup_fini(struct worker_setup *s)
{
	config_free(s->config);
	free(s->home_dir);
}

// sallyport up: every role of the configuration on this machine, as processes of their own.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/supervisor.h"
#include "net/http_client.h"

#define PROBE_AGAIN_MS 10
#define PROBE_LIMIT_MS 20000

struct up {
	const struct cli_args *args;
	struct config *config;
	struct loop *loop;
	struct supervisor *roles;
	struct http_client *http;
	struct http_call *probe;
	struct loop_timer *again;
	char *base_url; // control's, as bound
	char *api_key_header;
	json_t *lines; // role -> its readiness line
	uint64_t began_us;
	struct err failure;
};

static void give_up(struct up *u, const struct err *e)
{
	u->failure = *e;
	supervisor_stop(u->roles);
}

static void add_key_files(const struct config *c, json_t *out)
{
	json_t *keys = json_object();
	if (c->control.present)
		json_object_set_new(keys, "api", json_string(c->control.api_key_file));
	if (c->worker.environment_key_file != NULL)
		json_object_set_new(keys, "environment", json_string(c->worker.environment_key_file));
	json_object_set_new(keys, "audit", json_string(c->audit.key_file));
	for (size_t i = 0; i < c->control.n_environments; i++) {
		const struct config_environment *environment = &c->control.environments[i];
		AUTO_FREE char *name = mem_printf("environment %s", environment->id);
		if (environment->key_file != NULL)
			json_object_set_new(keys, name, json_string(environment->key_file));
	}
	for (size_t i = 0; i < c->control.n_models; i++) {
		AUTO_FREE char *name = mem_printf("model %s", c->control.models[i].name);
		if (c->control.models[i].key_file != NULL)
			json_object_set_new(keys, name, json_string(c->control.models[i].key_file));
	}
	json_object_set_new(out, "key_files", keys);
}

static void announce_json(struct up *u, double seconds)
{
	AUTO_JSON json_t *out = json_object();
	json_object_set_new(out, "ready", json_true());
	json_object_set_new(out, "pid", json_integer(getpid()));
	json_object_set_new(out, "config", json_string(u->config->path));
	json_object_set_new(out, "data_dir", json_string(u->config->data_dir));
	json_object_set_new(out, "audit_dir", json_string(u->config->audit.dir));
	if (u->base_url != NULL)
		json_object_set_new(out, "base_url", json_string(u->base_url));
	if (u->config->worker.environment != NULL)
		json_object_set_new(out, "environment", json_string(u->config->worker.environment));
	json_object_set(out, "roles", u->lines);
	add_key_files(u->config, out);
	json_object_set_new(out, "ready_ms", json_integer((json_int_t)(seconds * 1000)));
	AUTO_FREE char *text = json_text(out, NULL);
	puts(text);
}

static void announce(struct up *u)
{
	double seconds = (double)(clock_mono_us() - u->began_us) / 1e6;
	if (cli_json(u->args)) {
		announce_json(u, seconds);
	} else if (!cli_quiet(u->args)) {
		printf("ready  ");
		if (u->base_url != NULL)
			printf("control %s · ", u->base_url);
		if (u->config->worker.present)
			printf("worker 1 on %s · ", u->config->worker.environment);
		printf("recorder   (%.2f s)\n", seconds);
	}
	fflush(stdout);
}

static void probe(void *arg);

// The round trip that makes "ready" true: the API answers our key, and the worker's polls reach the queue.
static void probed(void *arg, int status, struct span body, const struct err *e)
{
	struct up *u = arg;
	struct err why;
	u->probe = NULL;
	if (e != NULL || status != 200) {
		err_set(&why, ERR_UNREACHABLE, "control at %s did not answer a request with its own API key: %s (status %d)",
		        u->base_url, e != NULL ? e->msg : "refused", status);
		give_up(u, &why);
		return;
	}
	AUTO_JSON json_t *stats = NULL;
	int64_t polling = 0;
	bool ok = !failed(json_parse_object(body, "work stats", &stats, &why)) &&
	          !failed(json_opt_int(stats, "", "workers_polling", 0, &polling, &why));
	if (ok && (polling > 0 || !u->config->worker.present)) {
		announce(u);
		return;
	}
	if (ok && clock_mono_us() - u->began_us < (uint64_t)PROBE_LIMIT_MS * 1000) {
		u->again = loop_timer_start(u->loop, PROBE_AGAIN_MS, probe, u);
		return;
	}
	if (ok)
		err_set(&why, ERR_UNREACHABLE, "no poll of the worker reached environment %s in %d s",
		        u->config->worker.environment, PROBE_LIMIT_MS / 1000);
	give_up(u, &why);
}

static void probe(void *arg)
{
	struct up *u = arg;
	u->again = NULL;
	const char *path = u->config->worker.environment != NULL ? u->config->worker.environment : NULL;
	AUTO_FREE char *url = path != NULL ? mem_printf("%s/v1/environments/%s/work/stats", u->base_url, path)
	                                   : mem_printf("%s/v1/environments?limit=1", u->base_url);
	const char *fields[] = {u->api_key_header, NULL};
	const struct http_call_opts opts = {.method = "GET",
	                                    .url = url,
	                                    .fields = fields,
	                                    .timeout_ms = 5000,
	                                    .body_max = 1 << 20,
	                                    .done = probed,
	                                    .arg = u};
	u->probe = http_call_start(u->http, &opts);
}

static struct result read_api_key(struct up *u, struct err *e)
{
	AUTO_BUF struct buf key;
	buf_init(&key, 4096);
	TRY(file_read_key(u->config->control.api_key_file, &key, e));
	free(u->api_key_header);
	u->api_key_header = mem_printf("x-api-key: %s", buf_str(&key));
	mem_wipe(key.mem, key.cap);
	return OK;
}

static void all_ready(void *arg)
{
	struct up *u = arg;
	struct err e;
	if (u->base_url == NULL)
		announce(u); // no control here: the worker's own readiness was its round trip
	else if (failed(read_api_key(u, &e)))
		give_up(u, &e);
	else
		probe(u);
}

static bool kernel_chooses_port(const struct config *c)
{
	const char *port = c->control.present ? strrchr(c->control.listen, ':') : NULL;
	return port != NULL && strcmp(port, ":0") == 0;
}

static bool worker_serves_own_control(const struct config *c)
{
	AUTO_FREE char *own = c->control.present ? mem_printf("http://%s", c->control.listen) : NULL;
	return c->worker.present && own != NULL && strcmp(c->worker.base_url, own) == 0;
}

static void role_ready(void *arg, const char *role, const json_t *line)
{
	struct up *u = arg;
	json_object_set(u->lines, role, (json_t *)line);
	log_info("up.role", "role=%s pid=%d", role, (int)supervisor_pid(u->roles, role));
	if (strcmp(role, "control") != 0)
		return;
	struct span address = json_span(json_object_get(line, "address"));
	free(u->base_url);
	u->base_url = mem_printf("http://%.*s", SPAN_FMT(address));
	if (!kernel_chooses_port(u->config))
		return;
	// The port is kept when control is started again, and is where the worker goes.
	AUTO_FREE char *listen = span_dup(address);
	supervisor_set_option(u->roles, "control", "--listen", listen);
	if (worker_serves_own_control(u->config))
		supervisor_set_option(u->roles, "worker", "--base-url", u->base_url);
}

static void ended(void *arg, const struct err *e)
{
	struct up *u = arg;
	if (e != NULL && u->failure.kind == ERR_NONE)
		u->failure = *e;
	loop_stop(u->loop);
}

static void asked_to_stop(void *arg)
{
	struct up *u = arg;
	supervisor_stop(u->roles);
}

static void add_roles(struct up *u)
{
	const char *path = u->config->path;
	const char *const recorder[] = {"sallyport", "recorder", "--config", path, NULL};
	const char *const control[] = {"sallyport", "control", "--config", path, NULL};
	const char *const worker[] = {"sallyport", "worker", "--config", path, NULL};
	// Nothing runs unrecorded, so the recorder is first. The worker makes its first sandbox while control starts, unless
	// where control listens is known only then.
	bool wait = kernel_chooses_port(u->config) && worker_serves_own_control(u->config);
	supervisor_add(u->roles, "recorder", NULL, recorder);
	if (u->config->control.present)
		supervisor_add(u->roles, "control", "recorder", control);
	if (u->config->worker.present)
		supervisor_add(u->roles, "worker", wait ? "control" : "recorder", worker);
}

// One `up` a data directory: the lock is held as long as this process lives.
static struct result lock_data_dir(const struct config *c, int *fd, struct err *e)
{
	AUTO_FREE char *run = mem_printf("%s/run", c->data_dir), *path = mem_printf("%s/up.lock", run);
	TRY(file_mkdirs(run, 0700, e));
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return err_sys(e, "%s", path);
	if (flock(*fd, LOCK_EX | LOCK_NB) != 0)
		return err_set(e, ERR_CONFLICT, "another 'sallyport up' runs on %s\nsee it with: sallyport ps", c->data_dir);
	return OK;
}

static bool is_ignored(int signo)
{
	struct sigaction now;
	return sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static struct result up_run(struct up *u, struct err *e)
{
	AUTO_FD int lock = -1;
	TRY(lock_data_dir(u->config, &lock, e));
	TRY(loop_new(&u->loop, e));
	const struct http_client_opts http = {.user_agent = "sallyport-up/" SALLYPORT_VERSION, .proxy = ""};
	TRY(http_client_new(u->loop, &http, &u->http, e));
	const struct supervisor_opts opts = {role_ready, all_ready, ended, u};
	u->roles = supervisor_new(u->loop, &opts);
	add_roles(u);
	struct loop_signal *term = loop_signal_start(u->loop, SIGTERM, asked_to_stop, u);
	struct loop_signal *interrupt = loop_signal_start(u->loop, SIGINT, asked_to_stop, u);
	// Its terminal went away; but under nohup it goes on.
	struct loop_signal *hangup = is_ignored(SIGHUP) ? NULL : loop_signal_start(u->loop, SIGHUP, asked_to_stop, u);
	supervisor_start(u->roles);
	loop_run(u->loop);
	loop_signal_cancel(&term);
	loop_signal_cancel(&interrupt);
	loop_signal_cancel(&hangup);
	loop_timer_cancel(&u->again);
	http_call_cancel(&u->probe);
	supervisor_free(u->roles);
	http_client_free(u->http);
	loop_free(u->loop);
	if (u->failure.kind != ERR_NONE)
		*e = u->failure;
	return u->failure.kind == ERR_NONE ? OK : FAIL;
}

static int run_up(const struct cli_args *a, struct err *e)
{
	struct up u = {.args = a, .began_us = clock_mono_us(), .lines = json_object()};
	struct result r = cli_config(a, &u.config, e);
	log_init("up", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	if (!failed(r))
		r = up_run(&u, e);
	config_free(u.config);
	json_decref(u.lines);
	free(u.base_url);
	if (u.api_key_header != NULL)
		mem_wipe(u.api_key_header, strlen(u.api_key_header));
	free(u.api_key_header);
	return failed(r) ? CLI_FAILED : 0;
}

const struct cli_command cmd_up = {
        .name = "up",
        .summary = "run every role of the configuration on this machine",
        .description =
                "Starts the recorder, control and the worker as processes of their own, restarts one that dies, and says "
                "when all are ready: the API has answered and the worker's poll has reached its queue. Ctrl-C or SIGTERM "
                "stops them in order. With --json the line is one object that names every address, process and key file.",
        .run = run_up,
};

#include "control/control.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/admin_verbs.h"
#include "control/agent_loop.h"
#include "control/control_state.h"
#include "control/event_log_state.h"
#include "control/keys.h"
#include "control/op.h"
#include "control/router.h"
#include "control/schema.h"
#include "control/stream.h"
#include "control/work_queue.h"
#include "net/admin.h"
#include "sandbox/lockdown.h"

#define CONNECTIONS_MAX 16384
#define DESCRIPTORS_OWN 64
#define HEAD_TIMEOUT_MS 60000
#define IDLE_TIMEOUT_MS 300000
#define BACKLOG_MAX (40 * 1024 * 1024) // the largest event and what comes with it
#define DRAIN_MS 5000
#define RECORDER_WAIT_MS 2000

struct running {
	struct control c;
	const char *listen;
	struct result (*ready)(void *arg, const char *address, struct err *e);
	void *arg;
	struct model_client *models;
	struct agent_loop *agents;
	struct admin_server *admin;
	struct loop_signal *term, *interrupt;
	struct loop_timer *deadline, *settling, *waiting;
	uint64_t recorder_by_ms;
	bool stopping;
	struct result outcome;
	struct err *why;
};

static void give_up(void *arg)
{
	struct running *run = arg;
	run->deadline = NULL;
	loop_stop(run->c.loop);
}

// What was begun is finished; nothing new comes in.
static void settle(void *arg)
{
	struct running *run = arg;
	run->settling = NULL;
	if (op_line_idle(run->c.ops))
		loop_stop(run->c.loop);
	else
		run->settling = loop_timer_start(run->c.loop, 5, settle, run);
}

static void asked_to_stop(void *arg)
{
	struct running *run = arg;
	if (run->stopping)
		return;
	run->stopping = true;
	log_info("control.stop", "streams=%zu", stream_hub_count(run->c.hub));
	if (run->agents != NULL)
		agent_loop_drain(run->agents);
	work_queue_end_polls(run->c.queue);
	stream_hub_end_all(run->c.hub);
	run->deadline = loop_timer_start(run->c.loop, DRAIN_MS, give_up, run);
	if (run->c.server != NULL)
		http_server_drain(run->c.server, settle, run);
	else
		settle(run);
}

static void fail(struct running *run, const struct err *e)
{
	run->outcome = err_set(run->why, e->kind, "%s", e->msg);
	loop_stop(run->c.loop);
}

static void begin(void *arg);

// A moment is given to the recorder, which others started just before us: without it every change would be refused.
static void serve(void *arg, const struct err *e)
{
	struct running *run = arg;
	if (e != NULL) {
		fail(run, e);
		return;
	}
	run->recorder_by_ms = loop_now_ms(run->c.loop) + RECORDER_WAIT_MS;
	begin(run);
}

static void begin(void *arg)
{
	struct running *run = arg;
	struct err why;
	run->waiting = NULL;
	if (run->stopping)
		return;
	bool recorded = !failed(record_check(run->c.record, &why));
	if (!recorded && loop_now_ms(run->c.loop) < run->recorder_by_ms) {
		run->waiting = loop_timer_start(run->c.loop, 2, begin, run);
		return;
	}
	if (!recorded)
		log_warn("control.unrecorded", "why=%s", LOG_Q(span_of(why.msg)));
	run->c.serving = true;
	run->agents =
	        agent_loop_start(&(struct agent_loop_opts){run->c.loop, run->c.log, run->models, record_client(run->c.record)});
	work_queue_resume(run->c.queue);
	const char *address = http_server_address(run->c.server);
	log_info("control.ready", "address=%s", address);
	if (failed(run->ready(run->arg, address, &why)))
		fail(run, &why);
}

// Descriptors that clients must leave: for the store, the sockets of this machine, and requests to models.
static rlim_t kept_descriptors(const struct config_control *cfg)
{
	rlim_t n = DESCRIPTORS_OWN;
	for (size_t i = 0; i < cfg->n_models; i++)
		n += cfg->models[i].requests;
	return n;
}

// Each stream and each poll holds a descriptor. Raises the limit as far as it goes; says how many clients there may be.
static size_t raise_descriptors(const struct config_control *cfg)
{
	rlim_t kept = kept_descriptors(cfg), wanted = CONNECTIONS_MAX + kept;
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return CONNECTIONS_MAX;
	if (limit.rlim_cur < wanted) {
		struct rlimit raised = {limit.rlim_max < wanted ? limit.rlim_max : wanted, limit.rlim_max};
		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	if (limit.rlim_cur >= wanted)
		return CONNECTIONS_MAX;
	rlim_t left = limit.rlim_cur > 2 * kept ? limit.rlim_cur - kept : limit.rlim_cur / 2;
	log_warn("control.descriptors", "limit=%llu connections=%llu", (unsigned long long)limit.rlim_cur,
	         (unsigned long long)left);
	return left;
}

static struct result listen_http(struct running *run, struct err *e)
{
	const struct http_server_opts opts = {
	        .listen = run->listen,
	        .body_max = REQUEST_BODY_MAX,
	        .connections_max = raise_descriptors(&run->c.cfg->control),
	        .head_timeout_ms = HEAD_TIMEOUT_MS,
	        .idle_timeout_ms = IDLE_TIMEOUT_MS,
	        .backlog_max = BACKLOG_MAX,
	        .handle = router_handle,
	        .arg = &run->c,
	};
	return http_server_start(run->c.loop, &opts, &run->c.server, e);
}

// A key that can't be read is told by its own error, not by the fence's.
static struct result check_secret(const char *path, struct err *e)
{
	AUTO_BUF struct buf secret;
	buf_init(&secret, 4096);
	TRY(file_read_key(path, &secret, e));
	mem_wipe(secret.mem, secret.cap);
	return OK;
}

// Nothing is bound, executed or written elsewhere from here on. Before the first thread, and so before the store.
static struct result lock_down(const struct control *c, struct err *e)
{
	const struct config_control *cfg = &c->cfg->control;
	AUTO_FREE char *store = mem_printf("%s/control", c->cfg->data_dir), *sockets = mem_printf("%s/run", c->cfg->data_dir);
	const char *const writable[] = {store, sockets, NULL};
	const char **readable = mem_zero((cfg->n_environments + cfg->n_models + 2) * sizeof(*readable));
	size_t n = 0;
	readable[n++] = cfg->api_key_file;
	for (size_t i = 0; i < cfg->n_environments; i++) {
		if (cfg->environments[i].key_file != NULL)
			readable[n++] = cfg->environments[i].key_file;
	}
	struct result r = OK;
	for (size_t i = 0; i < n && !failed(r); i++)
		r = check_secret(readable[i], e);
	for (size_t i = 0; i < cfg->n_models; i++) {
		if (cfg->models[i].ca_file != NULL)
			readable[n++] = cfg->models[i].ca_file;
	}
	if (!failed(r))
		r = lockdown_apply(&(struct lockdown_opts){.writable = writable, .readable = readable, .network = true}, NULL,
		                   e);
	free(readable);
	return r;
}

static struct result open_store(struct control *c, struct err *e)
{
	AUTO_FREE char *path = mem_printf("%s/control/control.db", c->cfg->data_dir);
	return store_open(c->loop, path, schema_migrations, &c->store, e);
}

static struct result start(struct running *run, struct err *e)
{
	struct control *c = &run->c;
	AUTO_FREE char *run_dir = mem_printf("%s/run", c->cfg->data_dir);
	AUTO_FREE char *store_dir = mem_printf("%s/control", c->cfg->data_dir);
	AUTO_FREE char *recorder = config_socket(c->cfg, "recorder");
	AUTO_FREE char *admin = config_socket(c->cfg, "control");
	json_object_seed(0); // before another thread makes objects
	TRY(loop_new(&c->loop, e));
	run->term = loop_signal_start(c->loop, SIGTERM, asked_to_stop, run);
	run->interrupt = loop_signal_start(c->loop, SIGINT, asked_to_stop, run);
	TRY(file_mkdirs(run_dir, 0700, e));
	TRY(file_mkdirs(store_dir, 0700, e));
	// The socket first: of two processes on one data directory the second ends here.
	TRY(admin_server_start(c->loop, admin, admin_verbs_handle, c, &run->admin, e));
	TRY(record_start(c->loop, recorder, &c->record, e));
	TRY(model_client_new(c->loop, &c->cfg->control, &run->models, e));
	TRY(listen_http(run, e));
	TRY(lock_down(c, e));
	TRY(open_store(c, e));
	c->auth = auth_new();
	c->ops = op_line_new();
	c->log = event_log_new(c);
	c->hub = stream_hub_new(c);
	c->queue = work_queue_new(c);
	keys_load(c, serve, run);
	return OK;
}

static void stop(struct running *run)
{
	struct control *c = &run->c;
	loop_timer_cancel(&run->deadline);
	loop_timer_cancel(&run->settling);
	loop_timer_cancel(&run->waiting);
	agent_loop_stop(&run->agents);
	if (c->server != NULL)
		http_server_stop(&c->server);
	if (run->admin != NULL)
		admin_server_stop(&run->admin);
	store_close(&c->store);
	op_line_free(c->ops);
	work_queue_free(c->queue);
	stream_hub_free(c->hub);
	event_log_free(c->log);
	auth_free(c->auth);
	model_client_free(run->models);
	record_stop(&c->record);
	loop_signal_cancel(&run->term);
	loop_signal_cancel(&run->interrupt);
	if (c->loop != NULL)
		loop_free(c->loop);
}

struct result control_run(const struct config *cfg, const char *listen,
                          struct result (*ready)(void *arg, const char *address, struct err *e), void *arg, struct err *e)
{
	if (!cfg->control.present || cfg->control.api_key_file == NULL)
		return err_set(e, ERR_INVALID, "%s: there is no section control with an api_key_file in it", cfg->path);
	struct running run = {.c = {.cfg = cfg}, .ready = ready, .arg = arg, .why = e};
	run.listen = listen != NULL ? listen : cfg->control.listen;
	struct result r = start(&run, e);
	if (!failed(r)) {
		loop_run(run.c.loop);
		r = run.outcome;
	}
	stop(&run);
	return r;
}

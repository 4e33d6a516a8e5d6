#include "worker/worker.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/admin.h"
#include "provider/local.h"
#include "sandbox/lockdown.h"
#include "worker/ledger.h"
#include "worker/plane.h"
#include "worker/poll.h"
#include "worker/proof.h"
#include "worker/room.h"
#include "worker/settle.h"
#include "worker/sweep.h"
#include "worker/worker_state.h"

#define KEEP_MS 600000 // an idle session's sandbox
#define DRAIN_MS 28000 // from SIGTERM to the end, whatever hangs

struct role {
	struct worker w;
	const struct worker_opts *o;
	struct provider *place;
	struct admin_server *admin;
	struct loop_signal *term, *interrupt;
	struct loop_timer *limit;
	struct settle *settle;
	struct proof *proof;
	struct poll *poll;
	struct sweep *sweep;
	bool ready, draining;
	struct err failure;
};

static void stop(struct role *r)
{
	loop_stop(r->w.loop);
}

static void fail(struct role *r, const struct err *e)
{
	r->failure = *e;
	stop(r);
}

// --- what others may ask

static void asked(void *arg, struct admin_request *q, struct span verb, const json_t *request)
{
	struct role *r = arg;
	(void)request;
	if (span_is(verb, "ready")) {
		admin_answer(q, json_pack("{s:b, s:b, s:i}", "ok", 1, "ready", r->ready, "pid", (int)getpid()));
	} else if (span_is(verb, "ps")) {
		admin_answer(q, json_pack("{s:b, s:b, s:b, s:i, s:s, s:s, s:o, s:o}", "ok", 1, "ready", r->ready, "draining",
		                          r->draining, "pid", (int)getpid(), "environment", r->o->environment, "base_url",
		                          r->o->base_url, "sessions", poll_json(r->poll), "sandboxes", rooms_json(r->w.rooms)));
	} else {
		admin_refuse(q, "the worker can be asked for: ready, ps");
	}
}

// --- the end

static void drained(void *arg)
{
	stop(arg);
}

static void drained_long_enough(void *arg)
{
	struct role *r = arg;
	r->limit = NULL;
	log_warn("worker.drain_cut_off", "after_ms=%d", DRAIN_MS);
	stop(r);
}

static void drain(void *arg)
{
	struct role *r = arg;
	if (r->draining)
		return;
	r->draining = true;
	log_info("worker.draining", "limit_ms=%d", DRAIN_MS);
	if (r->poll == NULL) {
		stop(r);
		return;
	}
	r->limit = loop_timer_start(r->w.loop, DRAIN_MS, drained_long_enough, r);
	poll_drain(r->poll);
}

static void spawner_lost(void *arg)
{
	struct role *r = arg;
	struct err e;
	err_set(&e, ERR_UNREACHABLE, "the spawner, which makes the sandboxes, is gone");
	fail(r, &e);
}

// --- the start, step by step

// Control wants no more polls from us. What runs holds leases of its own, which end when control says so: it may end in peace.
static void refused(void *arg, const struct err *e)
{
	struct role *r = arg;
	log_error("worker.refused", "error=%s", LOG_Q(span_of(e->msg)));
	r->failure = *e;
	drain(r);
}

static void first_poll(void *arg)
{
	struct role *r = arg;
	r->ready = true;
	log_info("worker.ready", "environment=%s base_url=%s", r->o->environment, LOG_Q(span_of(r->o->base_url)));
	r->o->ready(r->o->arg);
}

static void tested(void *arg)
{
	struct role *r = arg;
	proof_drop(&r->proof);
	if (r->draining)
		return;
	const struct poll_opts opts = {.worker = &r->w,
	                               .sessions_max =
	                                       r->o->config->worker.sessions_max > 0 ? r->o->config->worker.sessions_max : 64,
	                               .answered = first_poll,
	                               .failed = refused,
	                               .drained = drained,
	                               .arg = r};
	r->poll = poll_start(&opts);
	r->sweep = sweep_start(&r->w, r->o->config->data_dir);
}

static void settled(void *arg)
{
	struct role *r = arg;
	settle_drop(&r->settle);
	r->proof = proof_start(&r->w, tested, r);
}

static void journal_open(void *arg, const char *id, const struct err *e)
{
	struct role *r = arg;
	struct err why;
	char worker[160] = "", host[64] = "", unique[ID_MAX];
	if (e != NULL) {
		fail(r, e);
		return;
	}
	(void)gethostname(host, sizeof(host) - 1);
	id_make(unique, "wrkr");
	snprintf(worker, sizeof(worker), "%s-%s", plane_id_ok(span_of(host), 63) ? host : "host", unique);
	const struct plane_opts opts = {.base_url = r->o->base_url,
	                                .environment = r->o->environment,
	                                .key = r->o->key,
	                                .worker_id = worker,
	                                .journal = id};
	if (failed(plane_new(r->w.loop, &opts, &r->w.plane, &why))) {
		fail(r, &why);
		return;
	}
	r->settle = settle_start(&r->w, settled, r);
}

static struct result lock_down(const struct role *r, struct err *e)
{
	AUTO_FREE char *dir = mem_printf("%s/worker", r->o->config->data_dir),
	               *run = mem_printf("%s/run", r->o->config->data_dir);
	const char *const writable[] = {dir, run, NULL};
	const char *const readable[] = {NULL};
	const struct lockdown_opts opts = {.writable = writable, .readable = readable, .network = true};
	int landlock;
	TRY(lockdown_apply(&opts, &landlock, e));
	log_info("worker.locked", "landlock=%d", landlock);
	return OK;
}

static struct result open_files(struct role *r, struct err *e)
{
	const char *data_dir = r->o->config->data_dir;
	AUTO_FREE char *dir = mem_printf("%s/worker", data_dir), *run = mem_printf("%s/run", data_dir);
	AUTO_FREE char *calls = mem_printf("%s/calls.db", dir), *socket = config_socket(r->o->config, "worker");
	AUTO_FREE char *recorder = config_socket(r->o->config, "recorder");
	TRY(file_mkdirs(dir, 0700, e));
	TRY(file_mkdirs(run, 0700, e));
	TRY(admin_server_start(r->w.loop, socket, asked, r, &r->admin, e));
	TRY(audit_client_start(r->w.loop, recorder, "worker", &r->w.audit, e));
	TRY(lock_down(r, e)); // before the first thread, for which Landlock would not hold
	return ledger_open(r->w.loop, calls, journal_open, r, &r->w.ledger, e);
}

static struct result start(struct role *r, struct err *e)
{
	TRY(open_files(r, e));
	r->place = provider_local_new(r->w.loop, r->o->spawner_fd, spawner_lost, r);
	const struct rooms_opts rooms = {.loop = r->w.loop,
	                                 .place = r->place,
	                                 .audit = r->w.audit,
	                                 .data_dir = r->o->config->data_dir,
	                                 .keep_ms = KEEP_MS};
	r->w.rooms = rooms_new(&rooms);
	r->term = loop_signal_start(r->w.loop, SIGTERM, drain, r);
	r->interrupt = loop_signal_start(r->w.loop, SIGINT, drain, r);
	return OK;
}

static void drop(struct role *r)
{
	loop_timer_cancel(&r->limit);
	sweep_drop(&r->sweep);
	poll_drop(&r->poll);
	proof_drop(&r->proof);
	settle_drop(&r->settle);
	if (r->place != NULL)
		r->place->ops->free(r->place);
	rooms_free(r->w.rooms);
	ledger_close(&r->w.ledger);
	plane_free(r->w.plane);
	audit_client_stop(&r->w.audit);
	admin_server_stop(&r->admin);
	loop_signal_cancel(&r->term);
	loop_signal_cancel(&r->interrupt);
	loop_free(r->w.loop);
}

struct result worker_run(const struct worker_opts *opts, struct err *e)
{
	struct role r = {.o = opts, .w.max_idle_ms = opts->max_idle_ms, .w.lease_ttl_s = opts->lease_ttl_s};
	signal(SIGPIPE, SIG_IGN);
	TRY(loop_new(&r.w.loop, e));
	struct result res = start(&r, e);
	if (!failed(res)) {
		loop_run(r.w.loop);
		if (r.failure.kind != ERR_NONE) {
			*e = r.failure;
			res = FAIL;
		}
	}
	drop(&r);
	return res;
}

// sallyport run "task": a session, shown live.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/timeline.h"
#include "base/config.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/run_ask.h"
#include "cli/run_queue.h"
#include "cli/run_session.h"

#define FILE_MAX (1 << 20)
#define TICK_MS 1000
#define DEFAULT_MODEL "claude-opus-5-5"

struct run {
	struct loop *loop;
	struct run_session *session;
	struct run_view *view;
	struct run_queue queue;
	struct loop_timer *tick;
	struct err how;
	bool failed;
};

static void ended(void *arg, const struct err *e)
{
	struct run *r = arg;
	r->failed = e != NULL;
	if (e != NULL)
		r->how = *e;
	loop_stop(r->loop);
}

// The first Ctrl-C stops the agent's turn; a second one leaves.
static void interrupted(void *arg)
{
	struct run *r = arg;
	if (run_session_interrupt(r->session))
		return;
	r->failed = true;
	err_set(&r->how, ERR_SYSTEM, "left the session as it is");
	loop_stop(r->loop);
}

static void tick(void *arg)
{
	struct run *r = arg;
	run_view_tick(r->view);
	run_queue_tick(&r->queue);
	r->tick = loop_timer_start(r->loop, TICK_MS, tick, r);
}

// "118–131": the first and the last of a session's entries since `from`; NULL where this machine has no log that knows it.
static char *audit_range(const char *dir, uint64_t from, const char *session)
{
	struct timeline t;
	char *range = NULL;
	if (!failed(timeline_read(dir, from, span_of(session), &t, NULL)) && t.n > 0) {
		uint64_t last = 0;
		for (size_t i = 0; i < t.n; i++) {
			uint64_t index = t.rows[i].has_outcome ? t.rows[i].outcome_index : t.rows[i].index;
			last = index > last ? index : last;
		}
		range = mem_printf("%" PRIu64 "–%" PRIu64, t.rows[0].index, last);
	}
	timeline_fini(&t);
	return range;
}

static struct result run_it(struct api *api, struct run_view *view, const struct run_session_opts *opts, struct loop *l,
                            const char *audit_dir, struct err *e)
{
	struct run r = {.loop = l, .view = view, .queue = {api, view, opts->open.environment, false}};
	uint64_t from = 0;
	bool has_log = audit_dir != NULL && !failed(timeline_signed_size(audit_dir, &from, NULL));
	r.session = run_session_start(api, view, opts, ended, &r);
	struct loop_signal *sig = loop_signal_start(l, SIGINT, interrupted, &r);
	r.tick = loop_timer_start(l, TICK_MS, tick, &r);
	loop_run(l);
	loop_signal_cancel(&sig);
	loop_timer_cancel(&r.tick);
	if (!r.failed) {
		AUTO_FREE char *audit = has_log ? audit_range(audit_dir, from, run_session_id(r.session)) : NULL;
		run_view_end(view, audit);
	}
	run_session_free(r.session);
	if (!r.failed)
		return OK;
	*e = r.how;
	return FAIL;
}

static struct result read_file(const char *path, struct buf *out, struct run_session_opts *opts, struct err *e)
{
	if (path == NULL)
		return OK;
	TRY(file_read(path, out, e));
	if (!span_is_utf8(buf_span(out)))
		return err_set(e, ERR_INVALID, "%s: not UTF-8 text; only text can go along with a task", path);
	const char *slash = strrchr(path, '/');
	opts->file_name = slash == NULL ? path : slash + 1;
	opts->file_content = buf_span(out);
	return OK;
}

// An agent that must be made takes the first model that the configuration names in full.
static const char *default_model(const struct config *c)
{
	for (size_t i = 0; c != NULL && i < c->control.n_models; i++) {
		const char *name = c->control.models[i].name;
		if (strchr(name, '*') == NULL)
			return name;
	}
	return DEFAULT_MODEL;
}

static struct result choose(const struct cli_args *a, const struct config *c, struct run_session_opts *o, struct err *e)
{
	const char *const *rest;
	if (cli_rest(a, &rest) > 0)
		o->task = rest[0];
	struct run_open_opts *p = &o->open;
	p->agent = cli_value(a, "agent");
	p->model = cli_value(a, "model");
	p->default_model = default_model(c);
	p->system = cli_value(a, "system");
	p->session = cli_value(a, "session");
	p->environment = cli_value(a, "environment") ?: (c == NULL ? NULL : c->worker.environment);
	o->interactive = run_ask_possible() && !cli_json(a);
	if (p->environment == NULL && c != NULL && c->control.n_environments > 0)
		p->environment = c->control.environments[0].id;
	if (p->environment == NULL && p->session == NULL)
		return err_set(e, ERR_MISUSED, "no environment: name one with --environment env_…");
	if (p->session == NULL && (o->task == NULL || *o->task == '\0'))
		return err_set(e, ERR_MISUSED, "there is no task\ntype: sallyport run \"what to do\"");
	return OK;
}

static struct run_view *make_view(const struct cli_args *a)
{
	enum run_view_style style = cli_json(a)    ? RUN_VIEW_JSON
	                            : cli_quiet(a) ? RUN_VIEW_QUIET
	                            : cli_color(a) ? RUN_VIEW_COLOR
	                                           : RUN_VIEW_TEXT;
	const char *term = getenv("TERM");
	bool live = style != RUN_VIEW_JSON && style != RUN_VIEW_QUIET && isatty(STDOUT_FILENO) && term != NULL &&
	            strcmp(term, "dumb") != 0;
	return run_view_new(stdout, style, live);
}

static int run_run(const struct cli_args *a, struct err *e)
{
	struct config *c = NULL;
	struct loop *l = NULL;
	struct api api = {0};
	struct run_session_opts opts = {0};
	AUTO_BUF struct buf file;
	buf_init(&file, FILE_MAX);
	// Without a configuration the environment's variables are enough, as for any client.
	bool alone =
	        getenv("ANTHROPIC_BASE_URL") != NULL && getenv("ANTHROPIC_API_KEY") != NULL && cli_value(a, "config") == NULL;
	struct result r = cli_config(a, &c, e);
	if (failed(r) && alone)
		r = OK;
	if (!failed(r))
		r = choose(a, c, &opts, e);
	if (!failed(r))
		r = read_file(cli_value(a, "file"), &file, &opts, e);
	if (!failed(r))
		r = loop_new(&l, e);
	if (!failed(r))
		r = api_init(&api, l, c, e);
	if (!failed(r)) {
		struct run_view *view = make_view(a);
		r = run_it(&api, view, &opts, l, c == NULL ? NULL : c->audit.dir, e);
		run_view_free(view);
		api_fini(&api);
	}
	if (l != NULL)
		loop_free(l);
	config_free(c);
	return failed(r) ? CLI_FAILED : 0;
}

static const struct cli_option options[] = {
        {"agent", "NAME", "the agent to use, made with the full toolset when there is none of that name (default: run)"},
        {"model", "MODEL", "the agent's model (default, when one is made: the configuration's first that is named in full)"},
        {"system", "TEXT", "the agent's system prompt"},
        {"environment", "ID", "where the tools run (default: the configuration's own)"},
        {"session", "ID", "go on with this session; without a TASK, answer what it waits for and watch it"},
        {"file", "FILE", "a text file that goes along with the task"},
        {NULL, NULL, NULL},
};

const struct cli_command cmd_run = {
        .name = "run",
        .synopsis = "[TASK]",
        .summary = "give an agent a task and watch it",
        .description =
                "Starts a session and shows each tool call with where it ran, how long it took and why it failed, then the "
                "agent's answer, and which entries of the audit log tell of it. Calls that need a yes are asked about at a "
                "terminal. Ctrl-C stops the agent's turn; a second one leaves. With --json every event is a line as the API "
                "gave it. ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY go before the configuration.",
        .options = options,
        .rest_max = 1,
        .run = run_run,
};

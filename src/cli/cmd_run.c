// sallyport run "task": a session, shown live.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/run_session.h"

#define FILE_MAX (1 << 20)
#define DEFAULT_AGENT "run"
#define DEFAULT_MODEL "claude-opus-5-5"

struct run {
	struct loop *loop;
	struct run_session *session;
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

static struct result run_it(struct api *api, struct run_view *view, const struct run_session_opts *opts, struct loop *l,
                            struct err *e)
{
	struct run r = {.loop = l};
	r.session = run_session_start(api, view, opts, ended, &r);
	struct loop_signal *sig = loop_signal_start(l, SIGINT, interrupted, &r);
	loop_run(l);
	loop_signal_cancel(&sig);
	run_session_free(r.session);
	if (!r.failed) {
		run_view_end(view);
		return OK;
	}
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
	cli_rest(a, &rest);
	o->task = rest[0];
	o->agent = cli_value(a, "agent") ?: DEFAULT_AGENT;
	o->model = cli_value(a, "model") ?: default_model(c);
	o->system = cli_value(a, "system");
	o->session = cli_value(a, "session");
	o->environment = cli_value(a, "environment") ?: (c == NULL ? NULL : c->worker.environment);
	o->interactive = isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && !cli_json(a);
	if (o->environment == NULL && c != NULL && c->control.n_environments > 0)
		o->environment = c->control.environments[0].id;
	if (o->environment == NULL && o->session == NULL)
		return err_set(e, ERR_MISUSED, "no environment: name one with --environment env_…");
	return OK;
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
		struct run_view *view = run_view_new(stdout, cli_json(a)    ? RUN_VIEW_JSON
		                                             : cli_quiet(a) ? RUN_VIEW_QUIET
		                                             : cli_color(a) ? RUN_VIEW_COLOR
		                                                            : RUN_VIEW_TEXT);
		r = run_it(&api, view, &opts, l, e);
		run_view_free(view);
		api_fini(&api);
	}
	if (l != NULL)
		loop_free(l);
	config_free(c);
	return failed(r) ? CLI_FAILED : 0;
}

static const struct cli_option options[] = {
        {"agent", "NAME", "the agent to use, made with the full toolset when there is none of that name (run)"},
        {"model", "MODEL", "the model of an agent that is made"},
        {"system", "TEXT", "the system prompt of an agent that is made"},
        {"environment", "ID", "where the tools run (the configuration's own)"},
        {"session", "ID", "go on with this session instead of a new one"},
        {"file", "FILE", "a text file that goes along with the task"},
        {NULL, NULL, NULL},
};

const struct cli_command cmd_run = {
        .name = "run",
        .synopsis = "TASK",
        .summary = "give an agent a task and watch it",
        .description =
                "Starts a session and shows each tool call with where it ran, how long it took and why it failed, then the "
                "agent's answer. Ctrl-C stops the agent's turn; a second one leaves. With --json every event is a line as the "
                "API gave it. ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY go before the configuration.",
        .options = options,
        .rest_min = 1,
        .rest_max = 1,
        .run = run_run,
};

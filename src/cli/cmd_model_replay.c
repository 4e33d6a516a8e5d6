#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/ready.h"
#include "net/loop.h"
#include "replay/replay.h"

static void stop(void *arg)
{
	loop_stop(arg);
}

static struct result serve(const struct cli_args *a, struct loop *l, const struct scenario *scenario, struct err *e)
{
	const char *listen = cli_value(a, "listen");
	struct replay *r;
	TRY(replay_start(l, scenario, listen != NULL ? listen : "127.0.0.1:0", &r, e));
	struct loop_signal *term = loop_signal_start(l, SIGTERM, stop, l), *intr = loop_signal_start(l, SIGINT, stop, l);
	struct result ready = ready_tell(a, "model-replay", replay_address(r), e);
	if (!failed(ready)) {
		log_info("replay.ready", "address=http://%s scenes=%zu steps=%zu", replay_address(r), scenario->n_scenes,
		         scenario->n_steps);
		loop_run(l);
	}
	loop_signal_cancel(&term);
	loop_signal_cancel(&intr);
	replay_stop(&r);
	return ready;
}

static int run(const struct cli_args *a, struct err *e)
{
	const char *const *rest;
	struct scenario *scenario;
	struct loop *l;
	(void)cli_rest(a, &rest);
	log_init("model-replay", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	if (failed(scenario_load(rest[0], &scenario, e)))
		return CLI_FAILED;
	struct result r = loop_new(&l, e);
	if (!failed(r)) {
		r = serve(a, l, scenario, e);
		loop_free(l);
	}
	scenario_free(scenario);
	return failed(r) ? CLI_FAILED : 0;
}

static const struct cli_option options[] = {
        {"listen", "ADDRESS", "where to listen; 127.0.0.1:0, any free port, if not given"},
        READY_OPTION,
        {NULL, NULL, NULL},
};

const struct cli_command cmd_model_replay = {
        .name = "model-replay",
        .synopsis = "FILE",
        .summary = "play a written scenario as if a model answered",
        .description =
                "Serves the Messages API (POST /v1/messages, streaming and not) and answers out of the scenario in FILE. "
                "It is no model: for the same conversation it always says the same. For the demo, for tests, and for "
                "trying Sallyport without a model.",
        .options = options,
        .rest_min = 1,
        .rest_max = 1,
        .run = run,
};

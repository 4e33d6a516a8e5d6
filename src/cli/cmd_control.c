// sallyport control: the role that is the agents' API.
#include "base/config.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/ready.h"
#include "control/control.h"

static struct result ready(void *arg, const char *address, struct err *e)
{
	return ready_tell(arg, "control", address, e);
}

static int run(const struct cli_args *a, struct err *e)
{
	struct config *c;
	log_init("control", LOG_LEVEL_INFO, cli_json(a) ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	if (failed(cli_config(a, &c, e)))
		return CLI_FAILED;
	struct result r = control_run(c, cli_value(a, "listen"), ready, (void *)(uintptr_t)a, e);
	config_free(c);
	return failed(r) ? CLI_FAILED : 0;
}

static const struct cli_option options[] = {
        {"listen", "ADDRESS", "where to listen instead of control.listen; port 0 takes any free one"},
        READY_OPTION,
        {NULL, NULL, NULL},
};

const struct cli_command cmd_control = {
        .name = "control",
        .summary = "serve the agents' API: sessions, events, the work queue, the agent loop",
        .description =
                "Serves the Managed Agents API on control.listen and keeps everything in data_dir/control/control.db.\n"
                "It acts only while the recorder (sallyport recorder) answers: what can't be recorded is refused.\n"
                "SIGTERM ends it: waiting polls are answered, changes under way are finished, streams are ended.",
        .options = options,
        .run = run,
};

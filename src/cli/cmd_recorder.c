// sallyport recorder: the role that holds the audit log.
#include "base/config.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/ready.h"
#include "recorder/recorder.h"

static struct result ready(void *arg, const char *address, struct err *e)
{
	return ready_tell(arg, "recorder", address, e);
}

static int run(const struct cli_args *a, struct err *e)
{
	struct config *c;
	log_init("recorder", LOG_LEVEL_INFO, cli_json(a) ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	if (failed(cli_config(a, &c, e)))
		return CLI_FAILED;
	struct result r = recorder_run(c, ready, (void *)(uintptr_t)a, e);
	config_free(c);
	return failed(r) ? CLI_FAILED : 0;
}

static const struct cli_option options[] = {READY_OPTION, {0}};

const struct cli_command cmd_recorder = {
        .name = "recorder",
        .summary = "hold this machine's audit log",
        .description =
                "Takes entries from the other roles over data_dir/run/recorder.sock, writes each to disk before it\n"
                "acknowledges it, and turns them into a Merkle log with signed checkpoints within a second. It has no\n"
                "network and holds the log's key (audit.key_file), which nobody else needs. SIGTERM writes a last\n"
                "checkpoint and ends it.",
        .options = options,
        .run = run,
};

// What `sallyport worker` takes from its options, the environment and the configuration; shared with the process that it
// starts.
#ifndef SALLYPORT_CLI_WORKER_SETUP_H
#define SALLYPORT_CLI_WORKER_SETUP_H

#include "base/config.h"
#include "cli/cli.h"

struct worker_setup {
	struct config *config;
	const char *environment, *base_url, *key_file; // key_file NULL: ANTHROPIC_ENVIRONMENT_KEY holds the key
	uint64_t max_idle_ms, lease_ms;                // lease_ms 0: as long as control likes
	bool home; // there is no configuration file: one is kept in the user's own state directory
	char *home_dir;
};

extern const struct cli_option worker_setup_options[];

// Options come first; then, with --config, the file, else the environment, then the file that was found. ERR_NOT_FOUND says
// what is missing and what to type.
MUST_USE struct result worker_setup_read(struct worker_setup *s, const struct cli_args *a, struct err *e);
void worker_setup_fini(struct worker_setup *s);

#endif

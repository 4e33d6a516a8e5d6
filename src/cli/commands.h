// Every command, in the order of the help page. To add one: write src/cli/cmd_NAME.c with
//
//	const struct cli_command cmd_NAME = {.name = "…", .summary = "…", .run = …};
//
// and put X(NAME) into the list below; parsing, help, completion and the man page follow from its tables.
#ifndef SALLYPORT_CLI_COMMANDS_H
#define SALLYPORT_CLI_COMMANDS_H

#include "cli/cli.h"

// clang-format off
#define CLI_COMMANDS(X) \
	X(init) \
	X(doctor) \
	X(up) \
	X(run) \
	X(ps) \
	X(environment_key_create) \
	X(environment_key_list) \
	X(environment_key_revoke) \
	X(audit_show) \
	X(audit_verify) \
	X(sandbox_run) \
	X(control) \
	X(worker) \
	X(recorder) \
	X(model_replay) \
	X(help) \
	X(completion) \
	X(version) \
	X(worker_poller)
// clang-format on

#define CLI_DECLARE(name) extern const struct cli_command cmd_##name;
CLI_COMMANDS(CLI_DECLARE)
#undef CLI_DECLARE

#endif

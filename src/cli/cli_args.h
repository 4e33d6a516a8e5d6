// From argv to a command, its options and its further arguments.
#ifndef SALLYPORT_CLI_CLI_ARGS_H
#define SALLYPORT_CLI_CLI_ARGS_H

#include "cli/cli.h"

#define CLI_OPTIONS_MAX 48

// Options that every command has, NULL-terminated.
extern const struct cli_option cli_args_common[];

struct cli_args {
	const struct cli_command *command;   // NULL: none was typed, or (with `group`) only the first words of several
	char group[64];                      // those words: "audit"
	const char *values[CLI_OPTIONS_MAX]; // beside cli_args_option; NULL: not given, "": a flag that was
	const char **rest;                   // the further arguments, NULL-terminated; freed with cli_args_fini
	size_t n_rest;
};

// The i-th option of a command (which may be NULL): the common ones first, then its own. NULL after the last.
const struct cli_option *cli_args_option(const struct cli_command *c, size_t i);

// Parses against `table` (as cli_commands). Strings stay argv's. ERR_MISUSED says what is wrong and, where one is near, which
// word was meant; `a` then holds what had been understood. The number of further arguments is checked unless help is asked for.
MUST_USE struct result cli_args_parse(struct cli_args *a, const struct cli_command *const *table, int argc,
                                      const char *const *argv, struct err *e);
void cli_args_fini(struct cli_args *a);

// The value of an option that may not be in the command's table: for the common ones.
const char *cli_args_value(const struct cli_args *a, const char *option);

#endif

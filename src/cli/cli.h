// The command line: a table of commands, each with a table of options that gives parsing, help, completion and man page.
#ifndef SALLYPORT_CLI_CLI_H
#define SALLYPORT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct cli_option {
	const char *name;  // "json" for --json; NULL ends the table
	const char *value; // what stands for its value in help ("FILE"), NULL: a flag
	const char *help;  // one line
};

struct cli_args; // parsed

struct cli_command {
	const char *name;                 // one word or several: "audit verify"
	const char *synopsis;             // what follows the options: "[SESSION]", "-- COMMAND [ARG...]"
	const char *summary;              // one line, for the list
	const char *description;          // for --help and the manual; "\n\n" between paragraphs, "\n  " before an example
	const struct cli_option *options; // beside --config, --json, -q, --color and --help, which every command has
	size_t rest_min, rest_max;        // how many further arguments it takes
	// The exit code (product.md): 0 done, 1 failed, 2 misused, 3 refused, 4 not reachable, 5 a check found something.
	// CLI_FAILED: `e` is printed and its kind gives the code.
	int (*run)(const struct cli_args *a, struct err *e);
	bool hidden; // processes that other commands start
};

#define CLI_FAILED (-1)

// For `return cli_failed(err_set(e, …))` in a command.
static inline int cli_failed(struct result r)
{
	return failed(r) ? CLI_FAILED : 0;
}

const char *cli_value(const struct cli_args *a, const char *option); // NULL when not given; "" for a flag that was
bool cli_flag(const struct cli_args *a, const char *option);
size_t cli_rest(const struct cli_args *a, const char *const **rest); // the further arguments
bool cli_json(const struct cli_args *a);                             // --json
bool cli_quiet(const struct cli_args *a);                            // -q
bool cli_color(const struct cli_args *a);                            // a terminal, and neither NO_COLOR nor --color=never

struct config;
// The configuration that --config or config_find names.
MUST_USE struct result cli_config(const struct cli_args *a, struct config **out, struct err *e);

// Every command, in the order of the help page; NULL-terminated (cli/commands.c).
extern const struct cli_command *const cli_commands[];

int cli_main(int argc, char **argv);

#endif

// Help, completion and the man page: all of them read the tables of commands and options.
#ifndef SALLYPORT_CLI_HELP_H
#define SALLYPORT_CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"

// The commands of `table` with their summaries; only those that begin with the words `group` unless that is "".
void help_list(FILE *out, const struct cli_command *const *table, const char *group);

// One command: how to type it, what it does, its options.
void help_command(FILE *out, const struct cli_command *c);

// sallyport(1), in man's macros.
void help_man(FILE *out, const struct cli_command *const *table);

// A completion script; false for a shell that is not bash, zsh or fish.
bool help_completion(FILE *out, const struct cli_command *const *table, const char *shell);

#endif

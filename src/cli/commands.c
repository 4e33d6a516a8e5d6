#include "cli/commands.h"

#define CLI_ENTRY(name) &cmd_##name,
const struct cli_command *const cli_commands[] = {CLI_COMMANDS(CLI_ENTRY) NULL};

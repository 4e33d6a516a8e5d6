#include <stdio.h>

#include "cli/commands.h"
#include "cli/help.h"

static int run(const struct cli_args *a, struct err *e)
{
	const char *const *shell;

	cli_rest(a, &shell);
	if (help_completion(stdout, cli_commands, shell[0]))
		return 0;
	return cli_failed(err_set(e, ERR_MISUSED, "there is no completion for '%.60s'\ntype bash, zsh or fish", shell[0]));
}

const struct cli_command cmd_completion = {
        .name = "completion",
        .synopsis = "bash|zsh|fish",
        .summary = "print a completion script for a shell",
        .description =
                "Prints a script that completes commands and options. For this shell alone:\n"
                "  bash   . <(sallyport completion bash)\n"
                "  zsh    . <(sallyport completion zsh)\n"
                "  fish   sallyport completion fish | source",
        .rest_min = 1,
        .rest_max = 1,
        .run = run,
};

#include <stdio.h>
#include <string.h>

#include "cli/cli_args.h"
#include "cli/commands.h"
#include "cli/help.h"

// `sallyport help audit verify` is `sallyport audit verify --help`: the same parser finds what is meant.
static int help_about(size_t n, const char *const *words, struct err *e)
{
	const char *argv[8] = {"sallyport"};
	struct cli_args about;
	size_t argc = 1;
	int code = 0;

	for (size_t i = 0; i < n; i++)
		argv[argc++] = words[i];
	argv[argc++] = "--help";
	if (failed(cli_args_parse(&about, cli_commands, (int)argc, argv, e)))
		code = CLI_FAILED;
	else if (about.command != NULL)
		help_command(stdout, about.command);
	else
		help_list(stdout, cli_commands, about.group);
	cli_args_fini(&about);
	return code;
}

static int run(const struct cli_args *a, struct err *e)
{
	const char *const *words;
	size_t n = cli_rest(a, &words);

	if (cli_flag(a, "man")) {
		help_man(stdout, cli_commands);
		return 0;
	}
	return help_about(n, words, e);
}

const struct cli_command cmd_help = {
        .name = "help",
        .synopsis = "[COMMAND]",
        .summary = "list the commands, or tell all about one",
        .options =
                (const struct cli_option[]){
                        {"man", NULL, "the whole manual, as sallyport(1) in man's macros"},
                        {0},
                },
        .rest_max = 4,
        .run = run,
};

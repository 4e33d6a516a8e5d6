#include <stdio.h>

#include "cli/commands.h"

static int run(const struct cli_args *a, struct err *e)
{
	(void)e;
	if (cli_json(a))
		printf("{\"version\":\"%s\"}\n", SALLYPORT_VERSION);
	else
		printf("sallyport %s\n", SALLYPORT_VERSION);
	return 0;
}

const struct cli_command cmd_version = {
        .name = "version",
        .summary = "print the version",
        .run = run,
};

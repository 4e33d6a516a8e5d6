#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/mem.h"
#include "cli/cli_args.h"
#include "cli/help.h"
#include "cli/printable.h"

#define EXIT_MISUSED 2

const char *cli_value(const struct cli_args *a, const char *option)
{
	return cli_args_value(a, option);
}

bool cli_flag(const struct cli_args *a, const char *option)
{
	return cli_args_value(a, option) != NULL;
}

size_t cli_rest(const struct cli_args *a, const char *const **rest)
{
	*rest = a->rest;
	return a->n_rest;
}

bool cli_json(const struct cli_args *a)
{
	return cli_flag(a, "json");
}

bool cli_quiet(const struct cli_args *a)
{
	return cli_flag(a, "quiet");
}

// no-color.org: set and not empty, whatever its value.
static bool color_on(const struct cli_args *a, int fd)
{
	const char *when = cli_args_value(a, "color");
	const char *no_color = getenv("NO_COLOR");

	if (when != NULL && strcmp(when, "auto") != 0)
		return strcmp(when, "always") == 0;
	return isatty(fd) && (no_color == NULL || *no_color == '\0');
}

bool cli_color(const struct cli_args *a)
{
	return color_on(a, STDOUT_FILENO);
}

struct result cli_config(const struct cli_args *a, struct config **out, struct err *e)
{
	char found[4096];
	const char *path = cli_value(a, "config");

	if (path == NULL) {
		TRY(config_find(found, e));
		path = found;
	}
	return config_load(path, out, e);
}

// At most three lines. The text may quote what came from a file or a network: nothing in it may speak to the terminal.
static void print_error(const struct cli_args *a, const struct err *e)
{
	bool color = color_on(a, STDERR_FILENO);
	AUTO_BUF struct buf shown;
	int lines = 1;

	buf_init(&shown, 8 * sizeof(e->msg) + 1);
	printable_add(&shown, span_of(e->msg), true);

	fprintf(stderr, "%ssallyport%s%s:%s ", color ? "\033[1;31m" : "", a->command == NULL ? "" : " ",
	        a->command == NULL ? "" : a->command->name, color ? "\033[0m" : "");
	for (const char *p = buf_str(&shown); *p != '\0'; p++) {
		if (*p == '\n' && lines++ < 3)
			fputs("\n  ", stderr);
		else if (*p == '\n')
			fputs(" · ", stderr);
		else
			fputc(*p, stderr);
	}
	fputc('\n', stderr);
}

// What a command returned as an exit code; prints the error of one that failed.
static int finish(const struct cli_args *a, int code, const struct err *e)
{
	if (code != CLI_FAILED)
		return code;
	print_error(a, e);
	return err_exit_code(e->kind);
}

static int run(const struct cli_args *a, struct err *e)
{
	if (cli_flag(a, "help") || a->command == NULL) {
		// Asked for, help is an answer; typed without saying what to do, it is the third line of an error.
		bool asked = cli_flag(a, "help");
		FILE *out = asked ? stdout : stderr;
		if (a->command != NULL)
			help_command(out, a->command);
		else
			help_list(out, cli_commands, a->group);
		return asked ? 0 : EXIT_MISUSED;
	}
	return finish(a, a->command->run(a, e), e);
}

int cli_main(int argc, char **argv_in)
{
	static const char *const version[] = {"sallyport", "version", NULL};
	const char *const *argv = (const char *const *)argv_in;
	struct cli_args a;
	struct err e = {0};
	int code;

	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		argv = version;
	code = cli_failed(cli_args_parse(&a, cli_commands, argc, argv, &e));
	code = code == CLI_FAILED ? finish(&a, code, &e) : run(&a, &e);
	// An answer that could not be written (a full disk, a closed pipe) was not given.
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0) {
		code = finish(&a, cli_failed(err_sys(&e, "can't write the answer")), &e);
	}
	cli_args_fini(&a);
	return code;
}

#include "cli/help.h"

#include <string.h>

#include "base/span.h"
#include "cli/cli_args.h"

#define TEXT_WIDTH 96

static bool in_group(const struct cli_command *c, const char *group)
{
	size_t n = strlen(group);

	return n == 0 || (strncmp(c->name, group, n) == 0 && c->name[n] == ' ');
}

void help_list(FILE *out, const struct cli_command *const *table, const char *group)
{
	int width = 0;

	for (size_t i = 0; table[i] != NULL; i++) {
		if (!table[i]->hidden && in_group(table[i], group) && (int)strlen(table[i]->name) > width)
			width = (int)strlen(table[i]->name);
	}
	fprintf(out, "usage: sallyport %s%sCOMMAND [OPTIONS] …\n\n", group, *group == '\0' ? "" : " ");
	for (size_t i = 0; table[i] != NULL; i++) {
		if (!table[i]->hidden && in_group(table[i], group))
			fprintf(out, "  %-*s  %s\n", width, table[i]->name, table[i]->summary);
	}
	fprintf(out,
	        "\n'sallyport COMMAND --help' tells all about one. Exit codes: 0 done, 1 failed, 2 misused, 3 refused by\n"
	        "policy, 4 not reachable, 5 a check found something.\n");
}

static void end_line(FILE *out, int *column)
{
	if (*column > 0)
		fputc('\n', out);
	*column = 0;
}

// Prints `text` in lines of at most TEXT_WIDTH. Lines follow one another in a paragraph up to an empty one; those that begin
// with a space are examples and stay as they are.
static void print_wrapped(FILE *out, const char *text)
{
	struct span rest = span_of(text), line, word;
	bool more = true;
	int column = 0;

	while (more) {
		more = span_cut(rest, '\n', &line, &rest);
		if (line.len == 0 || line.data[0] == ' ' || line.data[0] == '\t') {
			end_line(out, &column);
			fprintf(out, "%.*s\n", SPAN_FMT(line));
			continue;
		}
		for (bool words = true; words;) {
			words = span_cut(line, ' ', &word, &line);
			if (column > 0 && column + 1 + (int)word.len > TEXT_WIDTH)
				end_line(out, &column);
			column += fprintf(out, "%s%.*s", column == 0 ? "" : " ", SPAN_FMT(word));
		}
	}
	end_line(out, &column);
}

static void print_option(FILE *out, const struct cli_option *o)
{
	char left[64];
	bool has_value = o->value != NULL;

	snprintf(left, sizeof(left), "--%s%s%s", o->name, has_value ? " " : "", has_value ? o->value : "");
	fprintf(out, "  %-24s  %s\n", left, o->help);
}

void help_command(FILE *out, const struct cli_command *c)
{
	const struct cli_option *o;
	size_t n_common = 0;

	while (cli_args_common[n_common].name != NULL)
		n_common++;
	fprintf(out, "usage: sallyport %s [OPTIONS]%s%s\n\n", c->name, c->synopsis == NULL ? "" : " ",
	        c->synopsis == NULL ? "" : c->synopsis);
	print_wrapped(out, c->description != NULL ? c->description : c->summary);
	fputs("\noptions:\n", out);
	for (size_t i = n_common; (o = cli_args_option(c, i)) != NULL; i++)
		print_option(out, o);
	for (size_t i = 0; i < n_common; i++)
		print_option(out, &cli_args_common[i]);
}

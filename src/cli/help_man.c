#include <string.h>

#include "base/span.h"
#include "cli/cli_args.h"
#include "cli/help.h"

// Text as roff: a backslash and a line's first dot or quote mean something there, and a plain hyphen is no minus.
static void put_text(FILE *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (i == 0 && (s.data[0] == '.' || s.data[0] == '\''))
			fputs("\\&", out);
		if (s.data[i] == '\\')
			fputs("\\e", out);
		else if (s.data[i] == '-')
			fputs("\\-", out);
		else
			fputc(s.data[i], out);
	}
}

static void put(FILE *out, const char *s)
{
	put_text(out, span_of(s));
}

// As in help.c: an empty line ends a paragraph, a line that begins with a space is an example.
static void put_paragraphs(FILE *out, const char *text)
{
	struct span rest = span_of(text), line;
	bool more = true, example = false;

	fputs(".PP\n", out);
	while (more) {
		more = span_cut(rest, '\n', &line, &rest);
		bool is_example = line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
		if (is_example != example)
			fputs(is_example ? ".nf\n" : ".fi\n", out);
		example = is_example;
		if (line.len == 0)
			fputs(".PP", out);
		put_text(out, line);
		fputc('\n', out);
	}
	if (example)
		fputs(".fi\n", out);
}

static void put_option(FILE *out, const struct cli_option *o)
{
	fputs(".TP\n.B \\-\\-", out);
	put(out, o->name);
	if (o->value != NULL) {
		fputs(" \\fI", out);
		put(out, o->value);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	put(out, o->help);
	fputc('\n', out);
}

static void put_command(FILE *out, const struct cli_command *c)
{
	fputs(".SS \"sallyport ", out);
	put(out, c->name);
	if (c->synopsis != NULL) {
		fputc(' ', out);
		put(out, c->synopsis);
	}
	fputs("\"\n", out);
	put_paragraphs(out, c->description != NULL ? c->description : c->summary);
	for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++)
		put_option(out, o);
}

static const char exit_codes[] =
        ".SH EXIT STATUS\n"
        ".IP 0\ndone\n.IP 1\nfailed\n.IP 2\nmisused: the command line is wrong\n"
        ".IP 3\nrefused by policy\n.IP 4\na peer could not be reached\n.IP 5\na check found something\n";

static const char environment[] =
        ".SH ENVIRONMENT\n"
        ".TP\n.B SALLYPORT_CONFIG\nthe configuration file, when \\-\\-config names none\n"
        ".TP\n.B NO_COLOR\nset and not empty: no colour, unless \\-\\-color=always\n"
        ".TP\n.BR ANTHROPIC_BASE_URL \", \" ANTHROPIC_API_KEY\nthe control plane that run speaks to, and its key\n"
        ".TP\n.BR ANTHROPIC_ENVIRONMENT_ID \", \" ANTHROPIC_BASE_URL \", \" ANTHROPIC_ENVIRONMENT_KEY\n"
        "what worker serves, where, and its key; \\-\\-environment\\-key\\-file is safer\n"
        ".TP\n.B XDG_STATE_HOME\nwhere a worker without a configuration keeps its data, in a directory sallyport\n";

static const char files[] =
        ".SH FILES\n"
        ".TP\n.IR ./sallyport.yaml \", \" /etc/sallyport/sallyport.yaml\nthe configuration; sallyport init writes one\n"
        ".TP\n.I /var/lib/sallyport\nthe data of a configuration in /etc\n";

void help_man(FILE *out, const struct cli_command *const *table)
{
	fputs(".TH SALLYPORT 1 \"\" \"sallyport " SALLYPORT_VERSION
	      "\"\n.SH NAME\n"
	      "sallyport \\- keeps AI agents' work inside your own walls\n"
	      ".SH SYNOPSIS\n.B sallyport\n.I COMMAND\n[OPTIONS] ...\n.SH COMMANDS\n",
	      out);
	for (size_t i = 0; table[i] != NULL; i++) {
		if (!table[i]->hidden)
			put_command(out, table[i]);
	}
	fputs(".SH OPTIONS\nEvery command has these.\n", out);
	for (const struct cli_option *o = cli_args_common; o->name != NULL; o++)
		put_option(out, o);
	fputs(exit_codes, out);
	fputs(environment, out);
	fputs(files, out);
}

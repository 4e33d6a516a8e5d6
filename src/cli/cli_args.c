#include "cli/cli_args.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/words.h"

#define COMMANDS_MAX 128

const struct cli_option cli_args_common[] = {
        {"config", "FILE",
         "the configuration file (default: $SALLYPORT_CONFIG, ./sallyport.yaml, /etc/sallyport/sallyport.yaml)"},
        {"json", NULL, "answer in JSON"},
        {"quiet", NULL, "print nothing but the answer; also -q"},
        {"color", "WHEN", "auto, always or never (default: auto: on a terminal, unless NO_COLOR is set)"},
        {"help", NULL, "show this help; also -h"},
        {0},
};

const struct cli_option *cli_args_option(const struct cli_command *c, size_t i)
{
	size_t common = ARRAY_LEN(cli_args_common) - 1;

	if (i < common)
		return &cli_args_common[i];
	if (c == NULL || c->options == NULL)
		return NULL;
	for (const struct cli_option *o = c->options; o->name != NULL; o++) {
		if (i-- == common)
			return o;
	}
	return NULL;
}

static const struct cli_option *find_option(const struct cli_command *c, struct span name, size_t *index)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = cli_args_option(c, i)) != NULL; i++) {
		if (span_is(name, o->name)) {
			BUG_ON(i >= CLI_OPTIONS_MAX);
			*index = i;
			return o;
		}
	}
	return NULL;
}

static struct result unknown_option(const struct cli_args *a, const char *typed, struct span name, struct err *e)
{
	const char *words[CLI_OPTIONS_MAX + 1] = {0};
	const char *command = a->command == NULL ? "" : a->command->name;
	const struct cli_option *o;

	for (size_t i = 0; i < CLI_OPTIONS_MAX && (o = cli_args_option(a->command, i)) != NULL; i++)
		words[i] = o->name;
	const char *near = words_nearest(name, words);
	if (near != NULL)
		return err_set(e, ERR_MISUSED, "there is no option '%s'\ndid you mean --%s?", typed, near);
	return err_set(e, ERR_MISUSED,
	               "there is no option '%s'\nsee 'sallyport %s%s--help'; what follows '--' is never an option", typed,
	               command, *command == '\0' ? "" : " ");
}

// Takes the option at argv[*i], and its value if that stands in the next word.
static struct result take_option(struct cli_args *a, int argc, const char *const *argv, int *i, struct err *e)
{
	const char *typed = argv[*i];
	struct span name, value;
	size_t index = 0;

	if (strcmp(typed, "-q") == 0)
		typed = "--quiet";
	else if (strcmp(typed, "-h") == 0)
		typed = "--help";
	bool joined = span_cut(span_of(typed), '=', &name, &value);
	const struct cli_option *o = span_starts(name, "--") ? find_option(a->command, span_skip(name, 2), &index) : NULL;
	if (o == NULL)
		return unknown_option(a, typed, span_skip(name, span_starts(name, "--") ? 2 : 1), e);
	if (o->value == NULL && joined)
		return err_set(e, ERR_MISUSED, "--%s takes no value\ntype just --%s", o->name, o->name);
	if (o->value != NULL && !joined && *i + 1 >= argc)
		return err_set(e, ERR_MISUSED, "--%s needs a value\ntype --%s %s", o->name, o->name, o->value);
	if (o->value != NULL && a->values[index] != NULL)
		return err_set(e, ERR_MISUSED, "--%s is given twice\ngive it once", o->name);
	if (o->value == NULL)
		a->values[index] = "";
	else
		a->values[index] = joined ? value.data : argv[++*i];
	return OK;
}

// How many of argv[0..n) the words of `name` match; *whole when all words of `name` did.
static int match_words(const char *name, int n, const char *const *argv, bool *whole)
{
	struct span rest = span_of(name), word;
	int matched = 0;
	bool more = true;

	*whole = false;
	while (more && matched < n) {
		more = span_cut(rest, ' ', &word, &rest);
		if (!span_is(word, argv[matched]))
			return matched;
		matched++;
	}
	*whole = !more;
	return matched;
}

// The first `n` of argv, as one name.
static const char *join_words(char *out, size_t size, int n, const char *const *argv)
{
	out[0] = '\0';
	for (int i = 0; i < n; i++)
		snprintf(out + strlen(out), size - strlen(out), "%s%s", i == 0 ? "" : " ", argv[i]);
	return out;
}

// Which command was meant: as many words as were typed are compared first, then fewer, then the first words alone
// ("adit" is near to the group audit). NULL without one; `near` may be used for the answer.
static const char *nearest_command(const struct cli_command *const *table, int n, const char *const *argv, char near[64])
{
	const char *names[COMMANDS_MAX + 1] = {0};
	const char *found = NULL;
	char typed[128];
	size_t n_names = 0;

	for (size_t i = 0; table[i] != NULL; i++) {
		BUG_ON(n_names == COMMANDS_MAX);
		if (!table[i]->hidden)
			names[n_names++] = table[i]->name;
	}
	for (int words = n < 3 ? n : 3; words > 0 && found == NULL; words--)
		found = words_nearest(span_of(join_words(typed, sizeof(typed), words, argv)), names);
	for (size_t i = 0; i < n_names && found == NULL; i++) {
		snprintf(near, 64, "%.*s", (int)strcspn(names[i], " "), names[i]);
		found = words_nearest(span_of(argv[0]), (const char *const[]){near, NULL});
	}
	return found;
}

static struct result unknown_command(const struct cli_command *const *table, int matched, int n, const char *const *argv,
                                     struct err *e)
{
	char typed[128], buf[64];
	const char *near = nearest_command(table, n, argv, buf);

	join_words(typed, sizeof(typed), matched + 1, argv);
	if (near != NULL)
		return err_set(e, ERR_MISUSED, "there is no command '%.100s'\ndid you mean 'sallyport %s'?", typed, near);
	return err_set(e, ERR_MISUSED, "there is no command '%.100s'\n'sallyport help' lists them all", typed);
}

// The longest command whose words stand at argv[0..n); how many words it took in *took.
static struct result take_command(struct cli_args *a, const struct cli_command *const *table, int n, const char *const *argv,
                                  int *took, struct err *e)
{
	int begun = 0;

	*took = 0;
	for (size_t i = 0; table[i] != NULL; i++) {
		bool whole;
		int matched = match_words(table[i]->name, n, argv, &whole);
		if (whole && matched > *took) {
			a->command = table[i];
			*took = matched;
		} else if (matched > begun) {
			begun = matched;
		}
	}
	if (a->command != NULL || n == 0)
		return OK;
	if (begun < n)
		return unknown_command(table, begun, n, argv, e);
	for (int i = 0; i < begun; i++)
		snprintf(a->group + strlen(a->group), sizeof(a->group) - strlen(a->group), "%s%s", i == 0 ? "" : " ", argv[i]);
	*took = begun;
	return OK;
}

static struct result check_rest(const struct cli_args *a, struct err *e)
{
	const struct cli_command *c = a->command;

	if (c == NULL || cli_args_value(a, "help") != NULL)
		return OK;
	const char *synopsis = c->synopsis == NULL ? "" : c->synopsis;
	if (a->n_rest < c->rest_min)
		return err_set(e, ERR_MISUSED, "something is missing\ntype: sallyport %s %s", c->name, synopsis);
	if (a->n_rest > c->rest_max)
		return err_set(e, ERR_MISUSED, "'%.100s' is too much\ntype: sallyport %s%s%s", a->rest[c->rest_max], c->name,
		               *synopsis == '\0' ? "" : " ", synopsis);
	return OK;
}

static struct result check_color(const struct cli_args *a, struct err *e)
{
	const char *color = cli_args_value(a, "color");

	if (color == NULL || strcmp(color, "auto") == 0 || strcmp(color, "always") == 0 || strcmp(color, "never") == 0)
		return OK;
	return err_set(e, ERR_MISUSED, "--color is '%.100s'\ntype auto, always or never", color);
}

struct result cli_args_parse(struct cli_args *a, const struct cli_command *const *table, int argc, const char *const *argv,
                             struct err *e)
{
	int i = 1, words = 0, took;

	*a = (struct cli_args){.rest = mem_zero((size_t)(argc + 1) * sizeof(a->rest[0]))};
	// Common options may stand before the command.
	for (; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++)
		TRY(take_option(a, argc, argv, &i, e));
	while (i + words < argc && argv[i + words][0] != '-')
		words++;
	TRY(take_command(a, table, words, argv + i, &took, e));

	bool options_end = false;
	for (i += took; i < argc; i++) {
		if (!options_end && strcmp(argv[i], "--") == 0)
			options_end = true;
		else if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0')
			TRY(take_option(a, argc, argv, &i, e));
		else
			a->rest[a->n_rest++] = argv[i];
	}
	TRY(check_color(a, e));
	return check_rest(a, e);
}

void cli_args_fini(struct cli_args *a)
{
	free(a->rest);
	*a = (struct cli_args){0};
}

const char *cli_args_value(const struct cli_args *a, const char *option)
{
	size_t index;

	return find_option(a->command, span_of(option), &index) == NULL ? NULL : a->values[index];
}

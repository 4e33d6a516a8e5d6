#include <string.h>

#include "base/mem.h"
#include "base/span.h"
#include "cli/cli_args.h"
#include "cli/help.h"

#define NEXT_MAX 64

// Each shell gets the same facts: after which words ("", "audit", "audit verify") which words may follow, and what the
// options of a command are. A place where words may follow:
struct place {
	char words[64];
	char *next[NEXT_MAX]; // heap
	size_t n_next;
};

static bool knows(const struct place *p, const char *word)
{
	for (size_t i = 0; i < p->n_next; i++) {
		if (strcmp(p->next[i], word) == 0)
			return true;
	}
	return false;
}

// The words that may follow `words` (empty at the start).
static void place_init(struct place *p, const struct cli_command *const *table, const char *words)
{
	size_t n = strlen(words);

	*p = (struct place){0};
	snprintf(p->words, sizeof(p->words), "%s", words);
	for (size_t i = 0; table[i] != NULL && p->n_next < NEXT_MAX; i++) {
		const char *name = table[i]->name;
		if (table[i]->hidden || strncmp(name, words, n) != 0 || (n > 0 && name[n] != ' '))
			continue;
		name += n > 0 ? n + 1 : 0;
		char *word = span_dup(span_from(name, strcspn(name, " ")));
		if (knows(p, word))
			free(word);
		else
			p->next[p->n_next++] = word;
	}
}

static void place_fini(struct place *p)
{
	for (size_t i = 0; i < p->n_next; i++)
		free(p->next[i]);
}

// Calls `each` for the start and for every beginning of a command's name that others continue.
static void each_place(FILE *out, const struct cli_command *const *table, void (*each)(FILE *out, const struct place *p))
{
	struct place p, seen = {0};

	place_init(&p, table, "");
	each(out, &p);
	place_fini(&p);
	for (size_t i = 0; table[i] != NULL; i++) {
		const char *space = table[i]->hidden ? NULL : strchr(table[i]->name, ' ');
		for (; space != NULL; space = strchr(space + 1, ' ')) {
			char *words = span_dup(span_from(table[i]->name, (size_t)(space - table[i]->name)));
			if (knows(&seen, words) || seen.n_next == NEXT_MAX) {
				free(words);
				continue;
			}
			seen.next[seen.n_next++] = words;
			place_init(&p, table, words);
			each(out, &p);
			place_fini(&p);
		}
	}
	place_fini(&seen);
}

// For bash and zsh: the words typed so far, without options, pick the candidates.
static void sh_place(FILE *out, const struct place *p)
{
	fprintf(out, "\t'%s') next='", p->words);
	for (size_t i = 0; i < p->n_next; i++)
		fprintf(out, "%s%s", i == 0 ? "" : " ", p->next[i]);
	fputs("' ;;\n", out);
}

static void sh_options(FILE *out, const struct cli_command *c)
{
	const struct cli_option *o;

	fprintf(out, "\t'%s'*) options='", c == NULL ? "" : c->name);
	for (size_t i = 0; (o = cli_args_option(c, i)) != NULL; i++)
		fprintf(out, "%s--%s", i == 0 ? "" : " ", o->name);
	fputs("' ;;\n", out);
}

// Sets $next and $options from $typed. A name that begins another's stands before it in the table, so the last come first.
static void sh_cases(FILE *out, const struct cli_command *const *table)
{
	size_t n = 0;

	fputs("\tcase $typed in\n", out);
	each_place(out, table, sh_place);
	fputs("\tesac\n\tcase $typed in\n", out);
	while (table[n] != NULL)
		n++;
	while (n-- > 0) {
		if (!table[n]->hidden)
			sh_options(out, table[n]);
	}
	sh_options(out, NULL);
	fputs("\tesac\n", out);
}

static void put_bash(FILE *out, const struct cli_command *const *table)
{
	fputs("_sallyport() {\n\tlocal typed='' next='' options='' i\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in -*) ;; *) typed+=${typed:+ }${COMP_WORDS[i]} ;; esac\n\tdone\n",
	      out);
	sh_cases(out, table);
	fputs("\tcase ${COMP_WORDS[COMP_CWORD]} in\n"
	      "\t-*) COMPREPLY=($(compgen -W \"$options\" -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
	      "\t*) COMPREPLY=($(compgen -W \"$next\" -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
	      "\tesac\n}\n"
	      "complete -o default -F _sallyport sallyport\n",
	      out);
}

// Read by compinit as a file of its own, or sourced.
static void put_zsh(FILE *out, const struct cli_command *const *table)
{
	fputs("#compdef sallyport\n_sallyport() {\n\tlocal typed='' next='' options='' i\n"
	      "\tfor ((i = 2; i < CURRENT; i++)); do\n"
	      "\t\tcase ${words[i]} in -*) ;; *) typed+=${typed:+ }${words[i]} ;; esac\n\tdone\n",
	      out);
	sh_cases(out, table);
	fputs("\tcase ${words[CURRENT]} in\n"
	      "\t-*) compadd -- ${=options} ;;\n"
	      "\t*) compadd -- ${=next}; [[ -n $next ]] || _files ;;\n"
	      "\tesac\n}\n"
	      "if [[ ${funcstack[1]} == _sallyport ]]; then _sallyport \"$@\"; else compdef _sallyport sallyport; fi\n",
	      out);
}

static void fish_place(FILE *out, const struct place *p)
{
	for (size_t i = 0; i < p->n_next; i++)
		fprintf(out, "complete -c sallyport -f -n '__sallyport_typed \"%s\"' -a '%s'\n", p->words, p->next[i]);
}

// Within single quotes fish takes only \\ and \' as escapes.
static void fish_quoted(FILE *out, const char *s)
{
	for (; *s != '\0'; s++)
		fprintf(out, "%s%c", *s == '\'' || *s == '\\' ? "\\" : "", *s);
}

static void fish_option(FILE *out, const struct cli_option *o, const struct cli_command *c)
{
	fputs("complete -c sallyport", out);
	if (c != NULL)
		fprintf(out, " -n '__sallyport_typed \"%s*\"'", c->name);
	fprintf(out, " -l %s%s -d '", o->name, o->value == NULL ? "" : " -r");
	fish_quoted(out, o->help);
	fputs("'\n", out);
}

static void put_fish(FILE *out, const struct cli_command *const *table)
{
	fputs("function __sallyport_typed\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tstring match -q -- $argv[1] \"$(string match -v -- '-*' $words[2..-1])\"\n"
	      "end\n",
	      out);
	each_place(out, table, fish_place);
	for (const struct cli_option *o = cli_args_common; o->name != NULL; o++)
		fish_option(out, o, NULL);
	for (size_t i = 0; table[i] != NULL; i++) {
		for (const struct cli_option *o = table[i]->options; o != NULL && o->name != NULL && !table[i]->hidden; o++)
			fish_option(out, o, table[i]);
	}
}

bool help_completion(FILE *out, const struct cli_command *const *table, const char *shell)
{
	if (strcmp(shell, "bash") == 0) {
		put_bash(out, table);
	} else if (strcmp(shell, "zsh") == 0) {
		put_zsh(out, table);
	} else if (strcmp(shell, "fish") == 0) {
		put_fish(out, table);
	} else {
		return false;
	}
	return true;
}

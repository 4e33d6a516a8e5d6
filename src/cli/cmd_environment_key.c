// sallyport environment key create | list | revoke: the keys that workers poll with.
#include <stdio.h>

#include "base/config.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/printable.h"
#include "net/admin.h"

#define TIMEOUT_MS 10000

// Asks control; takes `request`.
static struct result ask(const struct cli_args *a, json_t *request, json_t **answer, struct err *e)
{
	struct config *c;
	AUTO_JSON json_t *asked = request;
	TRY(cli_config(a, &c, e));
	AUTO_FREE char *path = config_socket(c, "control");
	config_free(c);
	return admin_call(path, asked, TIMEOUT_MS, answer, e);
}

static void print_json(const json_t *answer)
{
	AUTO_FREE char *text = json_text(answer, NULL);
	puts(text);
}

static const char *text_of(const json_t *o, const char *name, const char *missing)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s == NULL || s[0] == '\0' ? missing : s;
}

static int create(const struct cli_args *a, struct err *e)
{
	const char *const *rest;
	size_t n = cli_rest(a, &rest);
	bool any = cli_flag(a, "any");
	AUTO_JSON json_t *answer = NULL;
	if (any == (n == 1)) {
		err_set(e, ERR_MISUSED,
		        "name the environment that the key is for, or say --any for a key that is good for all of them");
		return CLI_FAILED;
	}
	json_t *request = json_pack("{s:s, s:b}", "do", "environment-key-create", "any", any);
	if (!any)
		json_object_set_new(request, "environment", json_string_lossy(span_of(rest[0])));
	if (cli_value(a, "name") != NULL)
		json_object_set_new(request, "name", json_string_lossy(span_of(cli_value(a, "name"))));
	if (failed(ask(a, request, &answer, e)))
		return CLI_FAILED;
	if (cli_json(a)) {
		print_json(answer);
		return 0;
	}
	printf("%s\n", text_of(answer, "key", ""));
	if (!cli_quiet(a)) {
		fprintf(stderr, "key %s for %s. It is shown once: only its hash is kept.\n", text_of(answer, "id", ""),
		        text_of(answer, "environment", "every environment"));
		if (any)
			fprintf(stderr,
			        "This loosens the default: whoever holds it can take the work of every environment, also of "
			        "later ones.\n");
	}
	return 0;
}

static int list(const struct cli_args *a, struct err *e)
{
	const char *const *rest;
	size_t n = cli_rest(a, &rest), i;
	AUTO_JSON json_t *answer = NULL;
	json_t *key, *request = json_pack("{s:s}", "do", "environment-key-list");
	if (n == 1)
		json_object_set_new(request, "environment", json_string_lossy(span_of(rest[0])));
	if (failed(ask(a, request, &answer, e)))
		return CLI_FAILED;
	if (cli_json(a)) {
		print_json(answer);
		return 0;
	}
	json_array_foreach (json_object_get(answer, "keys"), i, key) {
		const char *gone = text_of(key, "revoked_at", NULL);
		AUTO_FREE char *name = printable_line(span_of(text_of(key, "name", "")), 128);
		printf("%s  %-31s  %s  %s%s  %s\n", text_of(key, "id", ""), text_of(key, "environment", "(every environment)"),
		       text_of(key, "created_at", ""), gone == NULL ? "valid" : "revoked ", gone == NULL ? "" : gone, name);
	}
	return 0;
}

static int revoke_key(const struct cli_args *a, struct err *e)
{
	const char *const *rest;
	AUTO_JSON json_t *answer = NULL;
	(void)cli_rest(a, &rest);
	if (failed(ask(a, json_pack("{s:s, s:o}", "do", "environment-key-revoke", "id", json_string_lossy(span_of(rest[0]))),
	               &answer, e)))
		return CLI_FAILED;
	if (cli_json(a))
		print_json(answer);
	else if (!cli_quiet(a))
		printf("revoked %s: it is refused from now on\n", rest[0]);
	return 0;
}

static const struct cli_option create_options[] = {
        {"any", NULL, "good for every environment, those made later too: a loosening"},
        {"name", "TEXT", "what it is for, shown by list"},
        {NULL, NULL, NULL},
};

static const struct cli_option no_options[] = {{NULL, NULL, NULL}};

const struct cli_command cmd_environment_key_create = {
        .name = "environment key create",
        .synopsis = "[ENVIRONMENT]",
        .summary = "make a key that a worker polls an environment with",
        .description =
                "Prints a new environment key, once. control must be running; it keeps the key's hash only.\n"
                "With --any the key is good for every environment, which is looser than it need be.",
        .options = create_options,
        .rest_max = 1,
        .run = create,
};

const struct cli_command cmd_environment_key_list = {
        .name = "environment key list",
        .synopsis = "[ENVIRONMENT]",
        .summary = "show environment keys, without their secrets",
        .description = "Every environment key, or those of one environment: its id, what it is for, and whether it is revoked.",
        .options = no_options,
        .rest_max = 1,
        .run = list,
};

const struct cli_command cmd_environment_key_revoke = {
        .name = "environment key revoke",
        .synopsis = "KEY-ID",
        .summary = "make an environment key invalid at once",
        .description = "The next request with it is refused, and streams that were opened with it end.",
        .options = no_options,
        .rest_min = 1,
        .rest_max = 1,
        .run = revoke_key,
};

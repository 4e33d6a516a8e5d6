// sallyport ps: what runs here, asked of the roles themselves.
#include <stdio.h>

#include "base/config.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/printable.h"
#include "net/admin.h"

#define ASK_MS 2000
#define COLUMNS_MAX 6
#define CELL_MAX 60

struct column {
	const char *title;
	const char *member; // "a.b" reaches into an object
	bool age;           // milliseconds, shown as a time
};

static const json_t *reach(const json_t *j, const char *path)
{
	char name[64];
	const char *dot = strchr(path, '.');
	if (dot == NULL)
		return json_object_get(j, path);
	snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
	return reach(json_object_get(j, name), dot + 1);
}

static char *age_text(json_int_t ms)
{
	if (ms < 10000)
		return mem_printf("%.1f s", (double)ms / 1000);
	if (ms < 600000)
		return mem_printf("%lld s", (long long)ms / 1000);
	return mem_printf("%lld min", (long long)ms / 60000);
}

// What came over a socket may hold anything that a model or a peer wrote.
static char *cell(const json_t *row, const struct column *c)
{
	const json_t *v = reach(row, c->member);
	if (json_is_integer(v))
		return c->age ? age_text(json_integer_value(v)) : mem_printf("%lld", (long long)json_integer_value(v));
	if (json_is_boolean(v))
		return mem_strdup(json_is_true(v) ? "yes" : "no");
	return json_is_string(v) ? printable_line(json_span(v), CELL_MAX) : mem_strdup("-");
}

static void print_line(char *cells[COLUMNS_MAX], const size_t widths[COLUMNS_MAX], size_t n)
{
	printf("  ");
	for (size_t c = 0; c < n; c++)
		printf("%s%*s", cells[c], c + 1 < n ? (int)(widths[c] - printable_width(cells[c]) + 2) : 0, "");
	putchar('\n');
}

// Nothing at all for an empty list but "none".
static void print_table(const char *title, const json_t *rows, const struct column *columns, size_t n)
{
	size_t count = json_array_size(rows), widths[COLUMNS_MAX] = {0};
	printf("%s%s\n", title, count == 0 ? "  none" : "");
	if (count == 0)
		return;
	char *(*table)[COLUMNS_MAX] = mem_zero((count + 1) * sizeof(*table));
	for (size_t r = 0; r <= count; r++) {
		for (size_t c = 0; c < n; c++) {
			table[r][c] = r == 0 ? mem_strdup(columns[c].title) : cell(json_array_get(rows, r - 1), &columns[c]);
			size_t w = printable_width(table[r][c]);
			widths[c] = w > widths[c] ? w : widths[c];
		}
	}
	for (size_t r = 0; r <= count; r++) {
		print_line(table[r], widths, n);
		for (size_t c = 0; c < n; c++)
			free(table[r][c]);
	}
	free(table);
}

// A role's answer to "ps", or {"reachable":false,"error":…}.
static json_t *ask(const struct config *config, const char *socket, bool *reached, struct err *e)
{
	AUTO_FREE char *path = config_socket(config, socket);
	AUTO_JSON json_t *request = json_pack("{s:s}", "do", "ps");
	json_t *answer = NULL;
	*reached = !failed(admin_call(path, request, ASK_MS, &answer, e));
	if (!*reached)
		return json_pack("{s:b, s:o}", "reachable", 0, "error", json_string_lossy(span_of(e->msg)));
	json_object_set_new(answer, "reachable", json_true());
	return answer;
}

static void print_roles(const json_t *all)
{
	const char *role;
	json_t *answer;
	json_object_foreach ((json_t *)all, role, answer) {
		if (json_is_true(json_object_get(answer, "reachable"))) {
			const json_t *pid = json_object_get(answer, "pid");
			printf("%-9s running", role);
			if (json_is_integer(pid))
				printf(" · pid %lld", (long long)json_integer_value(pid));
			putchar('\n');
		} else {
			AUTO_FREE char *why = printable_line(json_span(json_object_get(answer, "error")), 200);
			printf("%-9s not reachable: %s\n", role, why);
		}
	}
}

static void print_all(const json_t *all)
{
	static const struct column agents[] = {
	        {"AGENT", "id", false}, {"NAME", "name", false}, {"MODEL", "model", false}, {"SESSIONS", "sessions", false}};
	static const struct column environments[] = {{"ENVIRONMENT", "id", false},
	                                             {"NAME", "name", false},
	                                             {"CALLS", "calls", false},
	                                             {"QUEUED", "queued", false},
	                                             {"ACTIVE", "active", false}};
	static const struct column sessions[] = {{"SESSION", "id", false},
	                                         {"STATUS", "status", false},
	                                         {"AGENT", "agent", false},
	                                         {"OPEN CALLS", "open_calls", false},
	                                         {"TITLE", "title", false}};
	static const struct column items[] = {{"SESSION", "session", false},
	                                      {"WORK ITEM", "item", false},
	                                      {"STATE", "state", false},
	                                      {"SINCE", "since_ms", true}};
	static const struct column sandboxes[] = {{"SESSION", "session", false}, {"STATE", "state", false},
	                                          {"HOST", "where.host", false}, {"TOOL", "tool", false},
	                                          {"CALL", "call", false},       {"FOR", "running_ms", true}};
	const json_t *control = json_object_get(all, "control"), *worker = json_object_get(all, "worker");
	print_roles(all);
	if (json_is_array(json_object_get(control, "agents")))
		print_table("agents", json_object_get(control, "agents"), agents, ARRAY_LEN(agents));
	if (json_is_array(json_object_get(control, "environments")))
		print_table("environments", json_object_get(control, "environments"), environments, ARRAY_LEN(environments));
	if (json_is_array(json_object_get(control, "sessions")))
		print_table("sessions", json_object_get(control, "sessions"), sessions, ARRAY_LEN(sessions));
	if (json_is_array(json_object_get(worker, "sessions")))
		print_table("at the worker", json_object_get(worker, "sessions"), items, ARRAY_LEN(items));
	if (json_is_array(json_object_get(worker, "sandboxes")))
		print_table("sandboxes", json_object_get(worker, "sandboxes"), sandboxes, ARRAY_LEN(sandboxes));
}

static int run_ps(const struct cli_args *a, struct err *e)
{
	// The recorder's own socket is for entries alone.
	static const char *const roles[][2] = {{"recorder", "recorder-admin"}, {"control", "control"}, {"worker", "worker"}};
	struct config *config;
	struct err why, denied = {.kind = ERR_NONE};
	bool any = false;
	if (failed(cli_config(a, &config, e)))
		return CLI_FAILED;
	AUTO_JSON json_t *all = json_object();
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		bool reached;
		json_object_set_new(all, roles[i][0], ask(config, roles[i][1], &reached, &why));
		any = any || reached;
		if (!reached && why.kind != ERR_UNREACHABLE)
			denied = why;
	}
	AUTO_FREE char *data_dir = mem_strdup(config->data_dir);
	config_free(config);
	if (cli_json(a)) {
		AUTO_FREE char *text = json_text(all, NULL);
		puts(text);
	} else if (any) {
		print_all(all);
	}
	if (any)
		return 0;
	if (denied.kind != ERR_NONE) {
		*e = denied;
		return CLI_FAILED;
	}
	return cli_failed(
	        err_set(e, ERR_UNREACHABLE, "nothing of Sallyport runs on %s\nstart it with: sallyport up", data_dir));
}

const struct cli_command cmd_ps = {
        .name = "ps",
        .summary = "show agents, sessions and sandboxes",
        .description =
                "Asks the roles on this machine over their sockets in data_dir/run, and says which do not answer. With --json "
                "it prints their answers as one object.",
        .run = run_ps,
};

// sallyport audit show: a session's timeline out of the log.
#include <inttypes.h>
#include <stdio.h>

#include "audit/timeline.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/printable.h"

static void set_text(json_t *o, const char *name, struct span s)
{
	if (s.len > 0)
		json_object_set_new(o, name, json_stringn(s.data, s.len));
}

static const struct entry *last_of(const struct timeline_row *row)
{
	return row->has_outcome ? &row->outcome : &row->entry;
}

// In a word, what came of it.
static const char *result_of(const struct timeline_row *row)
{
	const struct entry *last = last_of(row);
	if (row->entry.denied || last->denied)
		return "denied";
	if (span_is(row->entry.phase, "intent") && !row->has_outcome)
		return "open";
	return last->failed ? "failed" : "ok";
}

static struct span reason_of(const struct timeline_row *row)
{
	const struct entry *last = last_of(row);
	return last->reason.len > 0 ? last->reason : row->entry.reason;
}

static struct span rule_of(const struct timeline_row *row)
{
	return row->entry.rule.len > 0 ? row->entry.rule : last_of(row)->rule;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > b ? a : b; // an outcome may repeat the arguments' length
}

static void print_json_row(const struct timeline_row *row)
{
	const struct entry *first = &row->entry, *last = last_of(row);
	char time[CLOCK_RFC3339_LEN];
	clock_format(first->time_ms * 1000, time);
	AUTO_JSON json_t *j =
	        json_pack("{s:I, s:s, s:s}", "index", (json_int_t)row->index, "time", time, "result", result_of(row));
	if (row->has_outcome)
		json_object_set_new(j, "outcome_index", json_integer((json_int_t)row->outcome_index));
	set_text(j, "phase", first->phase);
	set_text(j, "operation", first->operation);
	set_text(j, "object", first->object);
	set_text(j, "session", first->session);
	set_text(j, "agent", first->agent);
	set_text(j, "actor", first->actor);
	set_text(j, "writer", first->writer);
	set_text(j, "uid", first->uid);
	set_text(j, "rule", rule_of(row));
	set_text(j, "reason", reason_of(row));
	if (last->duration_us > 0)
		json_object_set_new(j, "duration_us", json_integer((json_int_t)last->duration_us));
	json_object_set_new(j, "arguments_bytes", json_integer((json_int_t)sum(first->args_len, last->args_len)));
	json_object_set_new(j, "result_bytes", json_integer((json_int_t)sum(first->result_len, last->result_len)));
	AUTO_FREE char *text = json_text(j, NULL);
	puts(text);
}

// "34 B", "2.1 kB", "1.4 MB"
static void format_bytes(uint64_t n, char out[32])
{
	if (n < 1000)
		snprintf(out, 32, "%" PRIu64 " B", n);
	else if (n < 1000000)
		snprintf(out, 32, "%.1f kB", (double)n / 1e3);
	else
		snprintf(out, 32, "%.1f MB", (double)n / 1e6);
}

static void format_duration(uint64_t us, char out[32])
{
	if (us == 0)
		out[0] = '\0';
	else if (us < 10000)
		snprintf(out, 32, "%.1f ms", (double)us / 1e3);
	else if (us < 10000000)
		snprintf(out, 32, "%" PRIu64 " ms", us / 1000);
	else
		snprintf(out, 32, "%.1f s", (double)us / 1e6);
}

// Pads to `width` columns: what is printed holds more bytes than columns.
static void print_column(struct span text, size_t width)
{
	AUTO_FREE char *shown = printable_line(text, 48);
	size_t used = printable_width(shown);
	printf("%s%*s", shown, used < width ? (int)(width - used) : 0, "");
}

static void print_detail(const char *word, struct span text)
{
	AUTO_FREE char *shown = printable_line(text, 400);
	printf("%31s%s: %s\n", "", word, shown);
}

static void print_row(const struct timeline_row *row)
{
	const struct entry *first = &row->entry, *last = last_of(row);
	uint64_t args = sum(first->args_len, last->args_len), result = sum(first->result_len, last->result_len);
	char time[CLOCK_RFC3339_LEN], duration[32], bytes[32];
	clock_format(first->time_ms * 1000, time);
	format_duration(last->duration_us, duration);
	printf("%.10s %.12sZ  ", time, time + 11);
	print_column(first->operation, 16);
	printf("  ");
	print_column(first->object, 24);
	printf("  %-7s %9s  #%" PRIu64, result_of(row), duration, row->index);
	if (row->has_outcome)
		printf(", %" PRIu64, row->outcome_index);
	if (args > 0) {
		format_bytes(args, bytes);
		printf(" · %s in", bytes);
	}
	if (result > 0) {
		format_bytes(result, bytes);
		printf(" · %s out", bytes);
	}
	if (first->actor.len > 0) {
		AUTO_FREE char *actor = printable_line(first->actor, 60);
		printf(" · by %s", actor);
	}
	puts("");
	if (reason_of(row).len > 0)
		print_detail("why", reason_of(row));
	if (rule_of(row).len > 0)
		print_detail("rule", rule_of(row));
}

// What only carries an act along: who was shown a call, that its result was taken, where a turn begins and ends. A person asks
// for it when something went wrong there, and then it is shown.
static bool is_bookkeeping(const struct timeline_row *row)
{
	static const char *const operations[] = {"call.expose", "call.close", "turn.begin", "turn.end", "work.claim"};
	const struct entry *first = &row->entry;
	if (strcmp(result_of(row), "ok") != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		if (span_is(first->operation, operations[i]))
			return reason_of(row).len == 0 || i > 1;
	}
	return span_is(first->operation, "event.accept") && span_is(first->object, "user.tool_result");
}

static void print_text(const struct timeline *t, bool all)
{
	size_t hidden = 0;
	if (t->left_out > 0)
		printf("(%" PRIu64 " older ones are left out)\n", t->left_out);
	for (size_t i = 0; i < t->n; i++) {
		if (!all && is_bookkeeping(&t->rows[i]))
			hidden++;
		else
			print_row(&t->rows[i]);
	}
	printf("%zu acts", t->n - hidden);
	if (hidden > 0)
		printf(" · %zu steps between them with --all", hidden);
	printf(" · entries below #%" PRIu64 " are under a signed checkpoint · check it with: sallyport audit verify\n",
	       t->signed_size);
}

static int run(const struct cli_args *a, struct err *e)
{
	const char *const *rest, *dir_given = cli_value(a, "dir");
	size_t n_rest = cli_rest(a, &rest);
	struct span session = span_of(n_rest > 0 ? rest[0] : "");
	struct config *c = NULL;
	if (dir_given == NULL && failed(cli_config(a, &c, e)))
		return CLI_FAILED;
	AUTO_FREE char *dir = mem_strdup(dir_given != NULL ? dir_given : c->audit.dir);
	config_free(c);
	struct timeline t;
	struct result r = timeline_read(dir, 0, session, &t, e);
	if (!failed(r) && t.n == 0 && session.len > 0)
		r = err_set(e, ERR_NOT_FOUND, "no entry of session %.*s in %s; all of them: sallyport audit show",
		            SPAN_FMT(session), dir);
	if (!failed(r) && cli_json(a)) {
		for (size_t i = 0; i < t.n; i++)
			print_json_row(&t.rows[i]);
	} else if (!failed(r)) {
		print_text(&t, cli_flag(a, "all"));
	}
	timeline_fini(&t);
	return failed(r) ? CLI_FAILED : 0;
}

static const struct cli_option options[] = {
        {"all", NULL, "also the steps between: leases, exposures, turns, results taken"},
        {"dir", "DIR", "the log's directory, or a copy of one; default: audit.dir of the configuration"},
        {0},
};

const struct cli_command cmd_audit_show = {
        .name = "audit show",
        .synopsis = "[SESSION]",
        .summary = "show what a session did, out of the log",
        .description =
                "One line for each act: when it began (UTC), what was done to what, what came of it, how long it took,\n"
                "its entries' numbers in the log, and the sizes of what went in and out (the log holds no contents).\n"
                "\"open\" means that no outcome was recorded. Without SESSION: everything. --json: one object a line.",
        .options = options,
        .rest_max = 1,
        .run = run,
};

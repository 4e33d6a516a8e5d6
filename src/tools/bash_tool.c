#include "tools/bash_tool.h"

#include <math.h>

#include "base/mem.h"
#include "tools/js.h"
#include "tools/network.h"
#include "tools/shell.h"
#include "tools/text.h"
#include "tools/tools.h"

#define DEFAULT_TIMEOUT_MS 120000
#define OFFICIAL_MARKER_UNITS 53

struct bash_tool {
	struct loop *loop;
	const char *workdir;
	bool no_network;
	uint64_t refused;    // attempts to use a network, up to the last answer
	struct shell *shell; // NULL: the next command starts one
	struct buf timeout;  // the call's own limit as it was given, or empty when it is not what ended the call
	uint64_t limit_ms;
	void (*done)(void *arg, struct answer *a);
	void *arg;
};

struct bash_tool *bash_tool_new(struct loop *l, const char *workdir, bool no_network)
{
	struct bash_tool *b = NEW(struct bash_tool);
	b->loop = l;
	b->workdir = workdir;
	b->no_network = no_network;
	b->refused = no_network ? network_refused() : 0;
	buf_init(&b->timeout, TOOLS_INPUT_MAX);
	return b;
}

static void close_shell(struct bash_tool *b)
{
	shell_free(b->shell);
	b->shell = NULL;
}

void bash_tool_free(struct bash_tool *b)
{
	close_shell(b);
	buf_fini(&b->timeout);
	free(b);
}

void bash_tool_cancel(struct bash_tool *b)
{
	close_shell(b);
	b->done = NULL;
}

// Says why, where a program tried to get out and could not.
static void explain_network(struct bash_tool *b, struct answer *a)
{
	uint64_t refused = b->no_network ? network_refused() : b->refused;
	if (refused > b->refused)
		BUG_ON(!buf_add_str(&a->text, buf_len(&a->text) == 0 ? NETWORK_DENIED : "\n" NETWORK_DENIED));
	b->refused = refused;
}

static void answer(struct bash_tool *b, struct answer *a)
{
	void (*done)(void *, struct answer *) = b->done;
	b->done = NULL;
	done(b->arg, a);
	answer_fini(a);
}

// Keeps what the official toolset keeps of an output: the last 102 400 code units, its own marker and the exit status included.
static void keep_tail(const struct shell_outcome *o, struct answer *a)
{
	int digits = o->exit_code > 99 ? 3 : o->exit_code > 9 ? 2 : 1;
	size_t room = SHELL_OUTPUT_UNITS - (size_t)(2 + OFFICIAL_MARKER_UNITS + digits);
	struct buf text;
	buf_init(&text, (size_t)16 << 20);
	BUG_ON(!text_decode(o->output, &text));
	bool truncated = o->truncated || text_units(buf_span(&text)) > room;
	if (truncated) {
		bool split;
		struct span tail = text_tail(buf_span(&text), room, &split);
		buf_consume(&text, buf_len(&text) - tail.len);
	}
	text_strip_ansi(&text);
	while (buf_len(&text) > 0 && text.mem[text.end - 1] == '\n')
		text.end--;
	if (truncated)
		answer_error(a, "[output truncated]\n");
	BUG_ON(!buf_add(&a->text, buf_span(&text)));
	buf_fini(&text);
}

static void command_done(const struct shell_outcome *o, struct answer *a)
{
	keep_tail(o, a);
	a->is_error = o->exit_code != 0;
	if (a->is_error && buf_len(&a->text) == 0)
		answer_error(a, "exit %d", o->exit_code);
}

static void shell_ended(void *arg, const struct shell_outcome *o)
{
	struct bash_tool *b = arg;
	struct answer a;
	answer_init(&a);
	switch (o->end) {
	case SHELL_DONE:
		command_done(o, &a);
		break;
	case SHELL_TIMED_OUT:
		if (buf_len(&b->timeout) > 0)
			answer_error(&a, "bash: bash command timed out after %sms", buf_str(&b->timeout));
		else
			answer_error(&a, "bash: This operation was aborted");
		break;
	case SHELL_GONE:
		answer_error(&a, "bash: bash session terminated");
		break;
	}
	// A command that still runs would mix its output into the next one's: that gets a fresh shell.
	if (o->end != SHELL_DONE)
		close_shell(b);
	explain_network(b, &a);
	answer(b, &a);
}

// setTimeout's reading of the input's timeout_ms: anything below 1, above 2^31 - 1 or not a number is 1 ms.
static uint64_t timeout_of(struct bash_tool *b, const json_t *given)
{
	double ms = DEFAULT_TIMEOUT_MS;
	buf_clear(&b->timeout);
	if (given == NULL || json_is_null(given)) {
		BUG_ON(!buf_printf(&b->timeout, "%d", DEFAULT_TIMEOUT_MS));
	} else {
		ms = js_number(given);
		js_string(given, &b->timeout);
		if (!(ms >= 1 && ms <= 2147483647.0))
			ms = 1;
	}
	if ((uint64_t)ms <= b->limit_ms)
		return (uint64_t)ms;
	buf_clear(&b->timeout);
	return b->limit_ms;
}

static bool ensure_shell(struct bash_tool *b, struct answer *a)
{
	struct err e = {0};
	if (b->shell != NULL && shell_gone(b->shell)) { // it died between two calls
		close_shell(b);
		answer_error(a, "bash: bash session terminated");
		return false;
	}
	if (b->shell == NULL && failed(shell_new(b->loop, b->workdir, &b->shell, &e))) {
		answer_error(a, "bash: %s", e.msg);
		return false;
	}
	return true;
}

void bash_tool_run(struct bash_tool *b, const json_t *input, uint64_t limit_ms, void (*done)(void *arg, struct answer *a),
                   void *arg)
{
	const json_t *command = json_object_get(input, "command");
	bool restart = js_truthy(json_object_get(input, "restart"));
	struct answer a;
	answer_init(&a);
	b->done = done;
	b->arg = arg;
	b->limit_ms = limit_ms;
	if (restart)
		close_shell(b);
	if (!js_truthy(command)) {
		if (restart)
			answer_text(&a, SPAN_LIT("bash session restarted"));
		else
			answer_error(&a, "bash: command is required");
		return answer(b, &a);
	}
	if (!ensure_shell(b, &a))
		return answer(b, &a);
	answer_fini(&a);
	AUTO_BUF struct buf text;
	buf_init(&text, 2 * TOOLS_INPUT_MAX);
	js_string(command, &text);
	shell_run(b->shell, buf_span(&text), timeout_of(b, json_object_get(input, "timeout_ms")), shell_ended, b);
}

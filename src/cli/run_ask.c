#include "cli/run_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/printable.h"

struct run_ask {
	struct run_ask_opts o;
	json_t *calls;     // id -> call
	json_t *decisions; // so far; sent together
	char *id;          // of the call in question
	struct loop_fd *input;
};

struct run_ask *run_ask_new(const struct run_ask_opts *opts)
{
	struct run_ask *a = NEW(struct run_ask);
	*a = (struct run_ask){.o = *opts, .calls = json_object(), .decisions = json_array()};
	return a;
}

void run_ask_free(struct run_ask *a)
{
	loop_fd_cancel(&a->input);
	json_decref(a->calls);
	json_decref(a->decisions);
	free(a->id);
	free(a);
}

bool run_ask_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

void run_ask_add(struct run_ask *a, const json_t *call)
{
	json_object_set(a->calls, json_string_value(json_object_get(call, "id")), (json_t *)call);
}

const char *run_ask_first(const struct run_ask *a)
{
	return json_object_iter_key(json_object_iter(a->calls));
}

static void decide(struct run_ask *a, bool yes)
{
	json_array_append_new(a->decisions, json_pack("{s:s, s:s, s:s}", "type", "user.tool_confirmation", "tool_use_id", a->id,
	                                              "result", yes ? "allow" : "deny"));
	json_object_del(a->calls, a->id);
	run_ask_start(a);
}

// A terminal hands over one line at a time, so the rest of a long answer can't be taken for the next one.
static void typed(void *arg, uint32_t events)
{
	struct run_ask *a = arg;
	char line[4096];
	(void)events;
	ssize_t n = read(STDIN_FILENO, line, sizeof(line));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	loop_fd_cancel(&a->input);
	decide(a, n > 0 && (line[0] == 'y' || line[0] == 'Y'));
}

static void ask(struct run_ask *a, const char *id)
{
	const json_t *call = json_object_get(a->calls, id);
	AUTO_FREE char *name = printable_line(json_span(json_object_get(call, "name")), 40);
	AUTO_FREE char *input = json_text(json_object_get(call, "input"), NULL);
	AUTO_FREE char *shown = printable_line(span_of(input), 600);
	free(a->id);
	a->id = mem_strdup(id);
	a->o.asking(a->o.arg, true);
	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	fprintf(stderr, "allow %s %s ? [y/N] ", name, shown);
	a->input = loop_fd_start(a->o.loop, STDIN_FILENO, EPOLLIN, typed, a);
}

void run_ask_start(struct run_ask *a)
{
	if (a->input != NULL)
		return;
	const char *id = run_ask_first(a);
	if (id != NULL) {
		ask(a, id);
		return;
	}
	a->o.asking(a->o.arg, false);
	if (json_array_size(a->decisions) == 0)
		return;
	json_t *decisions = STEAL(a->decisions);
	a->decisions = json_array();
	a->o.answered(a->o.arg, decisions);
}

void run_ask_settle(struct run_ask *a, const char *id)
{
	if (id == NULL || json_object_del(a->calls, id) != 0 || a->input == NULL || strcmp(id, a->id) != 0)
		return;
	loop_fd_cancel(&a->input);
	fputs("(settled)\n", stderr);
	run_ask_start(a);
}

void run_ask_stop(struct run_ask *a)
{
	if (a->input != NULL)
		fputc('\n', stderr);
	loop_fd_cancel(&a->input);
	json_object_clear(a->calls);
	json_array_clear(a->decisions);
	a->o.asking(a->o.arg, false);
}

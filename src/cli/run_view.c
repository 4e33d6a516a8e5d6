#include "cli/run_view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/printable.h"

#define CALL_COLUMN 50
#define REASON_MAX 160
#define TEXT_MAX (1 << 20)

struct run_view {
	FILE *out;
	enum run_view_style style;
	json_t *calls; // id -> call without a result
	uint64_t began_us;
	unsigned n_calls, n_failed, n_denied;
	int64_t tokens;
	bool live, paused;
	bool line_shown;     // the live line stands at the bottom
	uint64_t waiting_us; // since when
	char *lost;          // the control plane that does not answer
};

struct run_view *run_view_new(FILE *out, enum run_view_style style, bool live)
{
	struct run_view *v = NEW(struct run_view);
	*v = (struct run_view){.out = out, .style = style, .calls = json_object(), .began_us = clock_mono_us(), .live = live};
	v->waiting_us = v->began_us;
	return v;
}

static void hide_live_line(struct run_view *v)
{
	if (v->line_shown)
		fputs("\r\x1b[K", v->out);
	v->line_shown = false;
}

void run_view_free(struct run_view *v)
{
	hide_live_line(v);
	json_decref(v->calls);
	free(v->lost);
	free(v);
}

static const char *paint(const struct run_view *v, const char *code)
{
	return v->style == RUN_VIEW_COLOR ? code : "";
}
#define RED "\x1b[31m"
#define DIM "\x1b[2m"
#define PLAIN "\x1b[0m"
#define DENIED "[sallyport] "

static void json_line(struct run_view *v, const json_t *j)
{
	AUTO_FREE char *text = json_text(j, NULL);
	fprintf(v->out, "%s\n", text);
	fflush(v->out);
}

void run_view_session(struct run_view *v, const json_t *session)
{
	if (v->style == RUN_VIEW_JSON) {
		json_line(v, session);
		return;
	}
	if (v->style == RUN_VIEW_QUIET)
		return;
	const json_t *agent = json_object_get(session, "agent");
	AUTO_FREE char *id = printable_line(json_span(json_object_get(session, "id")), 64);
	AUTO_FREE char *name = printable_line(json_span(json_object_get(agent, "name")), 64);
	AUTO_FREE char *model = printable_line(json_span(json_object_get(json_object_get(agent, "model"), "id")), 64);
	AUTO_FREE char *environment = printable_line(json_span(json_object_get(session, "environment_id")), 64);
	fprintf(v->out, "session %s · agent %s · model %s · environment %s\n", id, name, model, environment);
	fflush(v->out);
}

// What a person would want to see of a call's input: the command, the path, the pattern; else the whole of it.
static char *call_words(const json_t *call)
{
	static const char *const telling[] = {"command", "file_path", "pattern"};
	const json_t *input = json_object_get(call, "input");
	AUTO_FREE char *name = printable_line(json_span(json_object_get(call, "name")), 40);
	for (size_t i = 0; i < ARRAY_LEN(telling); i++) {
		const json_t *value = json_object_get(input, telling[i]);
		if (!json_is_string(value))
			continue;
		AUTO_FREE char *words = printable_line(json_span(value), 120);
		return mem_printf("%-5s %s", name, words);
	}
	AUTO_FREE char *text = json_text(input, NULL);
	AUTO_FREE char *words = printable_line(span_of(text), 120);
	return mem_printf("%-5s %s", name, words);
}

static struct span first_text(const json_t *event)
{
	return json_span(json_object_get(json_array_get(json_object_get(event, "content"), 0), "text"));
}

// The last line that says something: where a shell puts the reason.
static struct span last_line(struct span text)
{
	while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == ' '))
		text.len--;
	for (size_t i = text.len; i > 0; i--) {
		if (text.data[i - 1] == '\n')
			return span_skip(text, i);
	}
	return text;
}

static void add_duration(const json_t *call, const json_t *event, char out[32])
{
	int64_t from, to;
	*out = '\0';
	if (failed(clock_parse(json_span(json_object_get(call, "processed_at")), &from, NULL)) ||
	    failed(clock_parse(json_span(json_object_get(event, "processed_at")), &to, NULL)) || to < from)
		return;
	snprintf(out, 32, "%lld ms", (long long)((to - from) / 1000));
}

static void show_result(struct run_view *v, const json_t *event, const char *id_member)
{
	struct span id = json_span(json_object_get(event, id_member));
	AUTO_FREE char *key = span_dup(id);
	AUTO_JSON json_t *call = json_incref(json_object_get(v->calls, key));
	if (call == NULL)
		return;
	json_object_del(v->calls, key);
	bool bad = json_is_true(json_object_get(event, "is_error"));
	AUTO_FREE char *words = call_words(call);
	char took[32];
	add_duration(call, event, took);
	int pad = printable_width(words) < CALL_COLUMN ? (int)(CALL_COLUMN - printable_width(words)) : 0;
	const char *where = strcmp(id_member, "tool_use_id") == 0 ? "in sandbox" : "by its client";
	fprintf(v->out, "  %s%s %s%*s  %-13s %8s%s\n", bad ? paint(v, RED) : "", bad ? "✗" : "▸", words, pad, "", where, took,
	        bad ? paint(v, PLAIN) : "");
	if (!bad)
		return;
	struct span why = last_line(first_text(event));
	bool denied = span_starts(why, DENIED);
	AUTO_FREE char *reason = printable_line(denied ? span_skip(why, strlen(DENIED)) : why, REASON_MAX);
	fprintf(v->out, "      %s%s%s\n", paint(v, DIM), reason, paint(v, PLAIN));
	v->n_denied += denied;
	v->n_failed += !denied;
}

static void show_text(struct run_view *v, const json_t *event)
{
	size_t i;
	json_t *block;
	json_array_foreach (json_object_get(event, "content"), i, block) {
		struct span text = json_span(json_object_get(block, "text"));
		struct buf b;
		buf_init(&b, TEXT_MAX);
		printable_add(&b, text, true);
		fprintf(v->out, "%s\n", buf_str(&b));
		buf_fini(&b);
	}
}

static void show_error(struct run_view *v, const json_t *event)
{
	const json_t *error = json_object_get(event, "error");
	struct span retry = json_span(json_object_get(json_object_get(error, "retry_status"), "type"));
	AUTO_FREE char *message = printable_line(json_span(json_object_get(error, "message")), 300);
	AUTO_FREE char *type = printable_line(json_span(json_object_get(error, "type")), 60);
	fprintf(v->out, "  %s! %s: %s%s%s\n", paint(v, RED), type, message, span_is(retry, "retrying") ? " (trying again)" : "",
	        paint(v, PLAIN));
}

static void count_usage(struct run_view *v, const json_t *event)
{
	const json_t *usage = json_object_get(event, "model_usage");
	v->tokens += json_integer_value(json_object_get(usage, "input_tokens")) +
	             json_integer_value(json_object_get(usage, "output_tokens"));
}

void run_view_event(struct run_view *v, const json_t *event)
{
	struct span type = json_span(json_object_get(event, "type"));
	hide_live_line(v);
	v->waiting_us = clock_mono_us();
	if (span_is(type, "span.model_request_end"))
		count_usage(v, event);
	if (span_is(type, "agent.tool_use") || span_is(type, "agent.custom_tool_use")) {
		v->n_calls++;
		json_object_set(v->calls, json_string_value(json_object_get(event, "id")), (json_t *)event);
	}
	if (v->style == RUN_VIEW_JSON) {
		json_line(v, event);
		return;
	}
	if (v->style != RUN_VIEW_QUIET) {
		if (span_is(type, "user.tool_result") || span_is(type, "agent.tool_result"))
			show_result(v, event, "tool_use_id");
		else if (span_is(type, "agent.custom_tool_use"))
			run_view_note(v, "a custom tool: the application that the agent was made for has to answer");
		else if (span_is(type, "user.custom_tool_result"))
			show_result(v, event, "custom_tool_use_id");
	}
	if (span_is(type, "agent.message"))
		show_text(v, event);
	else if (span_is(type, "session.error"))
		show_error(v, event);
	fflush(v->out);
}

void run_view_note(struct run_view *v, const char *text)
{
	hide_live_line(v);
	fflush(v->out);
	if (v->style != RUN_VIEW_QUIET)
		fprintf(stderr, "  … %s\n", text);
}

uint64_t run_view_worker_ms(const struct run_view *v)
{
	const char *id;
	json_t *call;
	json_object_foreach (v->calls, id, call) {
		if (span_is(json_span(json_object_get(call, "type")), "agent.tool_use"))
			return (clock_mono_us() - v->waiting_us) / 1000;
	}
	return 0;
}

void run_view_pause(struct run_view *v, bool now)
{
	hide_live_line(v);
	fflush(v->out);
	v->paused = now;
}

void run_view_lost(struct run_view *v, const char *url)
{
	free(v->lost);
	v->lost = url == NULL ? NULL : mem_strdup(url);
}

// At most `columns` of well-formed text.
static int fitting_bytes(const char *text, int columns)
{
	int n = 0;
	while (text[n] != '\0' && columns > 0) {
		do
			n++;
		while (((unsigned char)text[n] & 0xc0) == 0x80);
		columns--;
	}
	return n;
}

void run_view_tick(struct run_view *v)
{
	uint64_t seconds = (clock_mono_us() - v->waiting_us) / 1000000;
	struct winsize size = {0};
	if (!v->live || v->paused || seconds < 1)
		return;
	const json_t *call = json_object_iter_value(json_object_iter(v->calls));
	AUTO_FREE char *words = v->lost != NULL ? mem_printf("%s does not answer, trying again", v->lost)
	                        : call != NULL  ? call_words(call)
	                                        : mem_strdup("the model");
	int columns = ioctl(fileno(v->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
	hide_live_line(v);
	fprintf(v->out, "  %s… %.*s · %llu s%s", paint(v, DIM), fitting_bytes(words, columns - 16), words,
	        (unsigned long long)seconds, paint(v, PLAIN));
	fflush(v->out);
	v->line_shown = true;
}

// 8412 as "8,412".
static void format_count(uint64_t n, char out[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;
	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

void run_view_end(struct run_view *v, const char *audit)
{
	double seconds = (double)(clock_mono_us() - v->began_us) / 1e6;
	char tokens[32];
	hide_live_line(v);
	if (v->style != RUN_VIEW_TEXT && v->style != RUN_VIEW_COLOR)
		return;
	format_count((uint64_t)v->tokens, tokens);
	fprintf(v->out, "done in %.1f s · %u tool call%s", seconds, v->n_calls, v->n_calls == 1 ? "" : "s");
	if (v->n_failed > 0)
		fprintf(v->out, ", %u failed", v->n_failed);
	if (v->n_denied > 0)
		fprintf(v->out, ", %u denied", v->n_denied);
	fprintf(v->out, " · %s tokens%s%s\n", tokens, audit == NULL ? "" : " · audit ", audit == NULL ? "" : audit);
	fflush(v->out);
}

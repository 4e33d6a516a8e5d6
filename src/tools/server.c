#include "tools/server.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "net/loop.h"
#include "tools/bash_tool.h"
#include "tools/calls.h"
#include "tools/file_tools.h"
#include "tools/job.h"
#include "tools/js.h"
#include "tools/wire.h"

#define NOTES_MAX 64 // answers other than results that wait for room in the channel

struct note {
	char id[TOOLS_ID_MAX + 1];
	const char *refusal; // NULL: the call is unknown
};

struct server {
	const char *workdir;
	struct loop *loop;
	struct loop_fd *channel;
	struct loop_timer *next; // set when a call can be started
	struct calls calls;
	struct call *current;
	struct bash_tool *bash;
	struct job *job;
	struct note notes[NOTES_MAX];
	size_t note_count;
};

static answer_tool *find_tool(struct span name)
{
	static const struct {
		const char *name;
		answer_tool *tool;
	} tools[] = {{"read", read_tool}, {"write", write_tool}, {"edit", edit_tool}, {"glob", glob_tool}, {"grep", grep_tool}};
	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		if (span_is(name, tools[i].name))
			return tools[i].tool;
	return NULL;
}

// Sending

static struct result send_note(const struct note *n, bool *sent, struct err *e)
{
	AUTO_BUF struct buf header;
	AUTO_FD int text = -1;
	buf_init(&header, WIRE_HEADER_MAX);
	TRY(wire_reply_encode(n->refusal == NULL ? TOOLS_UNKNOWN : TOOLS_REFUSED, n->id, true, &header, e));
	if (n->refusal != NULL)
		TRY(wire_bulk_make("tool-result", span_of(n->refusal), &text, e));
	return wire_post(SERVER_CHANNEL, buf_span(&header), text, sent, e);
}

static struct result send_call(const struct call *call, bool *sent, struct err *e)
{
	AUTO_BUF struct buf header;
	buf_init(&header, WIRE_HEADER_MAX);
	TRY(wire_reply_encode(TOOLS_RESULT, call->id, call->is_error, &header, e));
	return wire_post(SERVER_CHANNEL, buf_span(&header), call->text, sent, e);
}

// Sends what there is; while the channel is full, or nobody reads any more, the rest waits where it is.
static void flush(struct server *s)
{
	struct err e;
	bool sent = true;
	while (sent && s->note_count > 0) {
		if (failed(send_note(&s->notes[0], &sent, &e)))
			return;
		if (sent)
			memmove(s->notes, s->notes + 1, --s->note_count * sizeof(*s->notes));
	}
	struct call *call;
	while (sent && (call = calls_next_wanted(&s->calls)) != NULL) {
		if (failed(send_call(call, &sent, &e)))
			return;
		call->wanted = !sent;
	}
	// With its notes full, it reads no further requests: each could need another.
	uint32_t in = s->note_count < NOTES_MAX ? EPOLLIN : 0;
	loop_fd_watch(s->channel, in | (sent ? 0 : EPOLLOUT));
}

static void note(struct server *s, struct span id, const char *refusal)
{
	BUG_ON(s->note_count == NOTES_MAX);
	struct note *n = &s->notes[s->note_count++];
	memcpy(n->id, id.data, id.len);
	n->id[id.len] = '\0';
	n->refusal = refusal;
}

// Running

static void start_next(void *arg);

static void soon(struct server *s)
{
	if (s->next == NULL)
		s->next = loop_timer_start(s->loop, 0, start_next, s);
}

// Takes `text`, which may be -1: then the answer's own text counts.
static void end_call(struct server *s, struct call *call, int text, struct answer *a)
{
	struct err e;
	struct stat st;
	AUTO_FD int made = text;
	if (made < 0) {
		answer_finish(a);
		if (failed(wire_bulk_new("tool-result", &made, &e)) ||
		    failed(fd_write_all(made, a->text.mem + a->text.start, buf_len(&a->text), &e)))
			bug_abort(__FILE__, __LINE__, e.msg); // without a result, ending is what can be told apart
	}
	if (failed(wire_bulk_seal(made, &e)) || fstat(made, &st) < 0)
		bug_abort(__FILE__, __LINE__, "a result could not be sealed");
	if (s->current == call)
		s->current = NULL;
	calls_end(&s->calls, call, STEAL_FD(made), (size_t)st.st_size, a->is_error);
	call->wanted = true;
	flush(s);
	if (calls_next(&s->calls) != NULL)
		soon(s);
}

static void bash_done(void *arg, struct answer *a)
{
	struct server *s = arg;
	end_call(s, s->current, -1, a);
}

static void job_done(void *arg, int text, struct answer *a)
{
	struct server *s = arg;
	s->job = NULL;
	end_call(s, s->current, text, a);
}

static void fail_call(struct server *s, struct call *call, const char *why)
{
	struct answer a;
	answer_init(&a);
	answer_error(&a, "%s: %s", call->name, why);
	end_call(s, call, -1, &a);
	answer_fini(&a);
}

static void start_bash(struct server *s, struct call *call)
{
	struct err e;
	AUTO_BUF struct buf text;
	AUTO_JSON json_t *input = NULL;
	buf_init(&text, TOOLS_INPUT_MAX);
	if (failed(wire_bulk_read(call->input, &text, &e)))
		return fail_call(s, call, e.msg);
	if ((input = js_parse(buf_span(&text))) == NULL)
		return fail_call(s, call, "the input is not valid JSON");
	bash_tool_run(s->bash, input, call->timeout_ms, bash_done, s);
}

static void start_next(void *arg)
{
	struct server *s = arg;
	struct err e;
	s->next = NULL;
	struct call *call = calls_next(&s->calls);
	if (call == NULL || s->current != NULL)
		return;
	call->state = CALL_RUNNING;
	s->current = call;
	if (strcmp(call->name, "bash") == 0)
		return start_bash(s, call);
	struct job_opts o = {.name = call->name,
	                     .tool = find_tool(span_of(call->name)),
	                     .workdir = s->workdir,
	                     .input = call->input,
	                     .limit_ms = call->timeout_ms,
	                     .done = job_done,
	                     .arg = s};
	if (failed(job_start(s->loop, &o, &s->job, &e)))
		fail_call(s, call, e.msg);
}

// Requests

static void take_call(struct server *s, const struct tools_request *r, int input)
{
	AUTO_FD int mine = input;
	struct call *call = calls_find(&s->calls, r->id);
	if (call != NULL) {
		call->wanted = true;
	} else if (calls_was_forgotten(&s->calls, r->id)) {
		note(s, r->id, NULL);
	} else if (!span_is(r->name, "bash") && find_tool(r->name) == NULL) {
		note(s, r->id, "there is no tool of that name");
	} else if (mine < 0) {
		note(s, r->id, "the call came without its input");
	} else if (calls_add(&s->calls, r, STEAL_FD(mine)) == NULL) {
		note(s, r->id, "too many calls or results are waiting to be collected");
	} else if (s->current == NULL && s->next == NULL) {
		start_next(s); // at once: nothing is under way
	}
}

static void cancel_call(struct server *s, struct call *call)
{
	if (call == NULL || call->state == CALL_DONE)
		return;
	if (call == s->current) {
		job_cancel(s->job);
		s->job = NULL;
		if (strcmp(call->name, "bash") == 0)
			bash_tool_cancel(s->bash);
	}
	fail_call(s, call, "the call was cancelled");
}

static void take_request(struct server *s, const struct tools_request *r, int bulk)
{
	AUTO_FD int mine = bulk;
	struct call *call = calls_find(&s->calls, r->id);
	switch (r->kind) {
	case TOOLS_CALL:
		take_call(s, r, STEAL_FD(mine));
		break;
	case TOOLS_COLLECT:
		if (call != NULL)
			call->wanted = true;
		else
			note(s, r->id, NULL);
		break;
	case TOOLS_FORGET:
		if (call != NULL && call->state == CALL_DONE)
			calls_forget(&s->calls, call);
		break;
	case TOOLS_CANCEL:
		cancel_call(s, call);
		break;
	}
}

static void receive(struct server *s)
{
	char header[WIRE_HEADER_MAX];
	size_t len;
	AUTO_FD int bulk = -1;
	enum wire_got got;
	struct err e;
	AUTO_JSON json_t *json = NULL;
	struct tools_request r;
	if (failed(wire_take(SERVER_CHANNEL, header, &len, &bulk, &got, &e)) ||
	    (got == WIRE_MESSAGE && failed(wire_request_decode(span_from(header, len), &r, &json, &e)))) {
		fprintf(stderr, "sallyport-tools: a message was dropped: %s\n", e.msg);
	} else if (got == WIRE_END) {
		loop_stop(s->loop);
	} else if (got == WIRE_MESSAGE) {
		take_request(s, &r, STEAL_FD(bulk));
	}
}

static void channel_ready(void *arg, uint32_t events)
{
	struct server *s = arg;
	if ((events & EPOLLIN) != 0)
		receive(s);
	flush(s);
}

struct result server_run(const char *workdir, bool no_network, struct err *e)
{
	struct server *s = NEW(struct server);
	s->workdir = workdir;
	struct result r = loop_new(&s->loop, e);
	if (!r.failed) {
		s->bash = bash_tool_new(s->loop, workdir, no_network);
		s->channel = loop_fd_start(s->loop, SERVER_CHANNEL, EPOLLIN, channel_ready, s);
		loop_run(s->loop);
		job_cancel(s->job);
		bash_tool_free(s->bash);
		loop_timer_cancel(&s->next);
		loop_fd_cancel(&s->channel);
		calls_fini(&s->calls);
		loop_free(s->loop);
	}
	free(s);
	return r;
}

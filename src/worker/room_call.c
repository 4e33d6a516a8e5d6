#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/room_state.h"

#define ANSWER_GRACE_MS 15000 // beyond the call's own limit
#define CANCEL_GRACE_MS 3000

static void forget_op(struct room *x)
{
	loop_timer_cancel(&x->guard);
	loop_timer_cancel(&x->retry);
	free(x->op.input);
	memset(&x->op, 0, sizeof(x->op));
}

void room_call_fini(struct room *x)
{
	forget_op(x);
}

static void finish(struct room *x, enum room_outcome o, bool is_error, struct span text)
{
	room_done *done = x->op.done;
	void *arg = x->op.arg;
	forget_op(x);
	if (done != NULL)
		done(arg, o, is_error, text);
}

void room_call_refuse(struct room *x, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	finish(x, ROOM_REFUSED, true, span_of(text));
}

void room_call_lost(struct room *x, const char *why)
{
	char text[320];
	snprintf(text, sizeof(text), "%s", why);
	finish(x, ROOM_LOST, true, span_of(text));
}

static void took_too_long(void *arg)
{
	struct room *x = arg;
	x->guard = NULL;
	if (x->op.cancel && !x->op.sent && x->op.collect)
		finish(x, ROOM_UNTOLD, true, (struct span){0});
	else if (x->op.cancel && !x->op.sent)
		room_call_refuse(x, "The action did not run: it was cancelled before it could start.");
	else
		room_broken(x, x->op.cancel ? "the cancelled call did not end" : "the tools program did not answer in time");
}

static void guard(struct room *x, uint64_t ms)
{
	loop_timer_cancel(&x->guard);
	x->guard = loop_timer_start(x->owner->o.loop, ms, took_too_long, x);
}

// Sends one request; false when the channel is full or broken.
static bool send_one(struct room *x, const struct tools_request *r)
{
	struct err e;
	bool sent = false;
	if (failed(tools_client_send(x->channel, r, &sent, &e))) {
		room_broken(x, e.msg);
		return false;
	}
	if (!sent)
		loop_fd_watch(x->watch, EPOLLIN | EPOLLOUT);
	return sent;
}

static bool send_call(struct room *x)
{
	struct room_op *op = &x->op;
	const struct tools_request r = {.kind = op->collect ? TOOLS_COLLECT : TOOLS_CALL,
	                                .id = span_of(op->id),
	                                .name = span_of(op->name),
	                                .timeout_ms = op->timeout_ms,
	                                .input = span_from(op->input, op->input_len)};
	if (!send_one(x, &r))
		return false;
	op->sent = true;
	guard(x, op->timeout_ms + ANSWER_GRACE_MS);
	return true;
}

static bool send_cancel(struct room *x)
{
	const struct tools_request r = {.kind = TOOLS_CANCEL, .id = span_of(x->op.id)};
	if (!send_one(x, &r))
		return false;
	x->op.cancel_sent = true;
	return true;
}

static bool send_forgets(struct room *x)
{
	while (json_array_size(x->forget) > 0) {
		const struct tools_request r = {.kind = TOOLS_FORGET, .id = json_span(json_array_get(x->forget, 0))};
		if (!send_one(x, &r))
			return false;
		json_array_remove(x->forget, 0);
	}
	return true;
}

void room_call_flush(struct room *x)
{
	if (x->state != ROOM_OPEN)
		return;
	loop_fd_watch(x->watch, EPOLLIN);
	if (x->op.active && !x->op.sent && !send_call(x))
		return;
	if (x->op.active && x->op.cancel && !x->op.cancel_sent && !send_cancel(x))
		return;
	send_forgets(x);
}

static void took_reply(struct room *x, const struct tools_reply *r)
{
	static const enum room_outcome outcomes[] = {ROOM_RESULT, ROOM_UNKNOWN, ROOM_REFUSED};
	// An answer that an earlier process of ours asked for: what it holds is asked for again when it is needed.
	if (!x->op.active || strcmp(r->id, x->op.id) != 0)
		return;
	if (r->kind == TOOLS_UNKNOWN && !x->op.collect) {
		room_broken(x, "the tools program does not know the call it was given");
		return;
	}
	finish(x, outcomes[r->kind], r->kind == TOOLS_RESULT ? r->is_error : true, buf_span(&r->text));
}

static bool receive_one(struct room *x)
{
	struct tools_reply r;
	struct err e;
	bool got = false;
	tools_reply_init(&r);
	if (failed(tools_client_receive(x->channel, &r, &got, &e)))
		room_broken(x, e.msg);
	else if (got)
		took_reply(x, &r);
	tools_reply_fini(&r);
	return got && x->state == ROOM_OPEN;
}

void room_call_ready(void *arg, uint32_t events)
{
	struct room *x = arg;
	if (events & EPOLLIN) {
		for (int i = 0; i < 16 && receive_one(x); i++)
			continue;
	}
	if (events & EPOLLOUT)
		room_call_flush(x);
}

static void begin(struct room *x, const char *id, room_done *done, void *arg)
{
	BUG_ON(x->op.active || strlen(id) > TOOLS_ID_MAX);
	x->op.active = true;
	x->op.began_ms = clock_mono_ms();
	x->op.done = done;
	x->op.arg = arg;
	snprintf(x->op.id, sizeof(x->op.id), "%s", id);
}

static void open_soon(void *arg)
{
	struct room *x = arg;
	x->retry = NULL;
	room_open(x);
}

void room_run(struct room *x, const struct room_call *call, room_done *done, void *arg)
{
	begin(x, call->id, done, arg);
	x->op.input = span_dup(call->input);
	x->op.input_len = call->input.len;
	x->op.timeout_ms = call->timeout_ms;
	snprintf(x->op.name, sizeof(x->op.name), "%.*s", SPAN_FMT(span_head(call->name, 15)));
	room_open(x);
}

void room_collect(struct room *x, const char *id, room_done *done, void *arg)
{
	begin(x, id, done, arg);
	x->op.collect = true;
	x->op.timeout_ms = 120000;
	x->retry = loop_timer_start(x->owner->o.loop, 0, open_soon, x); // the answer may be at hand: never call back from here
}

void room_cancel(struct room *x)
{
	if (!x->op.active || x->op.cancel)
		return;
	x->op.cancel = true;
	guard(x, x->op.sent ? CANCEL_GRACE_MS : 0);
	room_call_flush(x);
}

void room_forsake(struct room *x)
{
	x->op.done = NULL;
}

void room_forget(struct room *x, const char *id)
{
	json_array_append_new(x->forget, json_string(id));
	room_call_flush(x);
}

#include "worker/runner.h"

#include "base/log.h"
#include "base/mem.h"
#include "tools/tools.h"
#include "worker/call.h"
#include "worker/feed.h"
#include "worker/idle.h"
#include "worker/lease.h"
#include "worker/room.h"

#define QUEUE_MAX 1024    // calls that wait; further ones are left for the next reading of the history
#define KNOWN_MAX 1000000 // ids that are remembered of one session
#define DRAIN_MS 20000

struct runner {
	struct runner_opts o;
	struct feed *feed;
	struct idle idle;
	struct room *room;
	struct call *running;
	json_t *running_event;
	json_t *queue;    // calls to run, in order
	json_t *held;     // calls that wait for a confirmation
	json_t *history;  // calls of the history that is being read
	json_t *seen;     // sets, by event id
	json_t *answered; //
	json_t *verdicts; // call id -> the confirmation's result
	json_t *ended_threads;
	struct loop_timer *soon, *drain;
	bool history_ended_turn;
	bool stopping;
	enum runner_end end;
};

static void run_next(struct runner *r);

static const char *text_of(const json_t *ev, const char *name)
{
	const char *s = json_string_value(json_object_get(ev, name));
	return s == NULL ? "" : s;
}

static const char *id_of(const json_t *ev)
{
	return text_of(ev, "id");
}

static bool has(const json_t *set, const char *id)
{
	return json_object_get(set, id) != NULL;
}

static void add(json_t *set, const char *id)
{
	if (json_object_size(set) < KNOWN_MAX)
		json_object_set_new(set, id, json_true());
}

static bool type_is(const json_t *ev, const char *type)
{
	return strcmp(text_of(ev, "type"), type) == 0;
}

static bool is_call(const json_t *ev)
{
	return (type_is(ev, "agent.tool_use") || type_is(ev, "agent.custom_tool_use")) &&
	       plane_id_ok(span_of(id_of(ev)), TOOLS_ID_MAX);
}

static bool of_ended_thread(const struct runner *r, const json_t *ev)
{
	return has(r->ended_threads, text_of(ev, "session_thread_id"));
}

// The place in the list of the call with that id; SIZE_MAX when it is not there.
static size_t find(const json_t *list, const char *id)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(id_of(json_array_get(list, i)), id) == 0)
			return i;
	}
	return SIZE_MAX;
}

static bool under_way(const struct runner *r, const char *id)
{
	return (r->running != NULL && strcmp(call_id(r->running), id) == 0) || find(r->queue, id) != SIZE_MAX;
}

// --- the end

static void tell_ended(void *arg)
{
	struct runner *r = arg;
	r->soon = NULL;
	r->o.ended(r->o.arg, r->end);
}

static void end_when_quiet(struct runner *r)
{
	if (r->stopping && r->running == NULL && r->soon == NULL)
		r->soon = loop_timer_start(r->o.worker->loop, 0, tell_ended, r);
}

static void stop_with(struct runner *r, enum runner_end end, enum runner_stop how)
{
	if (!r->stopping) {
		r->stopping = true;
		r->end = end;
		idle_disarm(&r->idle);
		while (json_array_size(r->queue) > 0) {
			json_array_remove(r->queue, 0);
			idle_unblock(&r->idle);
		}
		idle_disarm(&r->idle);
	}
	if (how != RUNNER_DRAIN && r->running != NULL)
		call_stop(r->running, how == RUNNER_LOST ? CALL_LOST : CALL_STOP);
	end_when_quiet(r);
}

static void drained_long_enough(void *arg)
{
	struct runner *r = arg;
	r->drain = NULL;
	stop_with(r, RUNNER_STOPPED, RUNNER_STOP);
}

void runner_stop(struct runner *r, enum runner_stop how)
{
	if (how == RUNNER_DRAIN && r->drain == NULL)
		r->drain = loop_timer_start(r->o.worker->loop, DRAIN_MS, drained_long_enough, r);
	stop_with(r, RUNNER_STOPPED, how);
}

static void quiet(void *arg)
{
	struct runner *r = arg;
	log_info("worker.session_idle", "session=%s max_idle_ms=%llu", r->o.session, (unsigned long long)r->idle.max_ms);
	stop_with(r, RUNNER_IDLE, RUNNER_STOP);
}

// --- running, one after the other

static void call_over(void *arg, enum call_end end)
{
	struct runner *r = arg;
	if (end == CALL_ANSWERED)
		add(r->answered, id_of(r->running_event));
	r->running = NULL;
	json_decref(r->running_event);
	r->running_event = NULL;
	idle_unblock(&r->idle);
	run_next(r);
	end_when_quiet(r);
}

static void run_next(struct runner *r)
{
	while (r->running == NULL && !r->stopping && json_array_size(r->queue) > 0) {
		AUTO_JSON json_t *ev = json_incref(json_array_get(r->queue, 0));
		json_array_remove(r->queue, 0);
		if (has(r->answered, id_of(ev)) || of_ended_thread(r, ev) || !lease_live(r->o.lease)) {
			idle_unblock(&r->idle);
			continue;
		}
		const struct call_opts opts = {.worker = r->o.worker,
		                               .room = r->room,
		                               .lease = r->o.lease,
		                               .exposure = r->o.exposure,
		                               .delivery = r->o.delivery,
		                               .item = r->o.item,
		                               .session = r->o.session,
		                               .agent = r->o.agent,
		                               .token = r->o.token,
		                               .event = ev,
		                               .done = call_over,
		                               .arg = r};
		r->running_event = json_incref(ev);
		r->running = call_start(&opts);
	}
}

static void enqueue(struct runner *r, json_t *ev, bool confirmed)
{
	struct span name = span_of(text_of(ev, "name"));
	if (has(r->answered, id_of(ev)) || under_way(r, id_of(ev)) || r->stopping)
		return;
	if (!type_is(ev, "agent.tool_use") || !call_is_ours(name)) {
		log_info("worker.call_not_ours", "session=%s call=%s tool=%s", r->o.session, id_of(ev), LOG_Q(name));
		if (confirmed)
			idle_disarm(&r->idle);
		return;
	}
	if (json_array_size(r->queue) >= QUEUE_MAX) {
		log_warn("worker.calls_waiting", "session=%s call=%s left=1", r->o.session, id_of(ev));
		return;
	}
	json_array_append(r->queue, ev);
	idle_block(&r->idle);
	run_next(r);
}

// --- who may run

static void apply_verdict(struct runner *r, json_t *ev, const char *verdict)
{
	size_t at = find(r->held, id_of(ev));
	AUTO_JSON json_t *keep = json_incref(ev);
	if (at != SIZE_MAX)
		json_array_remove(r->held, at);
	if (strcmp(verdict, "allow") == 0) {
		enqueue(r, keep, true);
	} else {
		add(r->answered, id_of(keep)); // the denial answers it at control
		log_info("worker.call_denied", "session=%s call=%s", r->o.session, id_of(keep));
	}
	if (at != SIZE_MAX)
		idle_unblock(&r->idle);
}

static void route(struct runner *r, json_t *ev)
{
	const char *permission = text_of(ev, "evaluated_permission");
	bool told = json_object_get(ev, "evaluated_permission") != NULL;
	if (of_ended_thread(r, ev))
		return;
	const char *verdict =
	        strcmp(permission, "deny") == 0 ? "deny" : json_string_value(json_object_get(r->verdicts, id_of(ev)));
	if (verdict != NULL) {
		apply_verdict(r, ev, verdict);
	} else if (!told || strcmp(permission, "allow") == 0) {
		enqueue(r, ev, false);
	} else if (find(r->held, id_of(ev)) == SIZE_MAX && json_array_size(r->held) < QUEUE_MAX) {
		log_info("worker.call_held", "session=%s call=%s", r->o.session, id_of(ev));
		json_array_append(r->held, ev);
		idle_block(&r->idle);
	}
}

static void release_ended_threads(struct runner *r)
{
	for (size_t i = json_array_size(r->held); i-- > 0;) {
		if (of_ended_thread(r, json_array_get(r->held, i))) {
			json_array_remove(r->held, i);
			idle_abandon(&r->idle);
		}
	}
}

static void note_answered(struct runner *r, const char *id)
{
	add(r->answered, id);
	if (r->running != NULL && strcmp(call_id(r->running), id) == 0)
		call_stop(r->running, CALL_MOOT);
}

// What both the history and the stream teach.
static void note(struct runner *r, json_t *ev)
{
	if (type_is(ev, "user.tool_result"))
		note_answered(r, text_of(ev, "tool_use_id"));
	else if (type_is(ev, "user.custom_tool_result"))
		note_answered(r, text_of(ev, "custom_tool_use_id"));
	else if (type_is(ev, "session.thread_status_terminated") && text_of(ev, "session_thread_id")[0] != '\0')
		add(r->ended_threads, text_of(ev, "session_thread_id"));
	else if (type_is(ev, "user.tool_confirmation") && json_object_size(r->verdicts) < KNOWN_MAX)
		json_object_set_new(r->verdicts, text_of(ev, "tool_use_id"), json_string(text_of(ev, "result")));
}

// --- the history

static void history_begin(void *arg)
{
	struct runner *r = arg;
	json_array_clear(r->history);
	r->history_ended_turn = false;
}

static void history_event(void *arg, json_t *ev)
{
	struct runner *r = arg;
	if (!idle_is_neutral(ev))
		r->history_ended_turn = idle_ends_turn(ev);
	note(r, ev);
	if (type_is(ev, "user.interrupt") && id_of(ev)[0] != '\0')
		add(r->seen, id_of(ev)); // the stream's copy of it must not stop what the history has behind it
	if (is_call(ev) && !has(r->answered, id_of(ev)) && find(r->history, id_of(ev)) == SIZE_MAX) {
		add(r->seen, id_of(ev));
		json_array_append(r->history, ev);
	}
}

static void history_end(void *arg, bool complete)
{
	struct runner *r = arg;
	AUTO_JSON json_t *calls = r->history;
	bool open = false;
	r->history = json_array();
	idle_note_history(&r->idle, complete);
	release_ended_threads(r);
	if (!complete) {
		for (size_t i = 0; i < json_array_size(calls); i++)
			json_object_del(r->seen, id_of(json_array_get(calls, i)));
		return;
	}
	idle_disarm(&r->idle);
	for (size_t i = 0; i < json_array_size(calls); i++) {
		json_t *ev = json_array_get(calls, i);
		if (has(r->answered, id_of(ev)))
			continue;
		route(r, ev);
		open = open || !(has(r->answered, id_of(ev)) || of_ended_thread(r, ev) || under_way(r, id_of(ev)) ||
		                 find(r->held, id_of(ev)) != SIZE_MAX);
	}
	for (size_t i = json_array_size(r->held); i-- > 0;) {
		AUTO_JSON json_t *ev = json_incref(json_array_get(r->held, i));
		const char *verdict = json_string_value(json_object_get(r->verdicts, id_of(ev)));
		if (verdict != NULL)
			apply_verdict(r, ev, verdict);
	}
	if (r->stopping)
		return;
	if (r->history_ended_turn && !open)
		idle_arm(&r->idle);
	else
		idle_disarm(&r->idle);
}

// --- the stream

static void interrupted(struct runner *r, const json_t *ev)
{
	const char *thread = text_of(ev, "session_thread_id");
	for (size_t i = json_array_size(r->queue); i-- > 0;) {
		if (thread[0] != '\0' && strcmp(text_of(json_array_get(r->queue, i), "session_thread_id"), thread) != 0)
			continue;
		json_array_remove(r->queue, i);
		idle_unblock(&r->idle);
	}
	if (r->running != NULL && (thread[0] == '\0' || strcmp(text_of(r->running_event, "session_thread_id"), thread) == 0)) {
		log_info("worker.call_interrupted", "session=%s call=%s", r->o.session, call_id(r->running));
		call_interrupt(r->running);
	}
}

static void live(void *arg, json_t *ev)
{
	struct runner *r = arg;
	if (r->stopping) {
		note(r, ev);
		return;
	}
	idle_note_event(&r->idle, ev);
	note(r, ev);
	if (is_call(ev)) {
		if (!has(r->seen, id_of(ev))) {
			add(r->seen, id_of(ev));
			route(r, ev);
		}
	} else if (type_is(ev, "user.tool_confirmation")) {
		size_t at = find(r->held, text_of(ev, "tool_use_id"));
		if (at != SIZE_MAX)
			apply_verdict(r, json_array_get(r->held, at), text_of(ev, "result"));
	} else if (type_is(ev, "session.thread_status_terminated")) {
		release_ended_threads(r);
	} else if (type_is(ev, "user.interrupt") && !has(r->seen, id_of(ev))) {
		interrupted(r, ev);
	} else if (type_is(ev, "session.status_terminated") || type_is(ev, "session.deleted")) {
		log_info("worker.session_over", "session=%s", r->o.session);
		stop_with(r, RUNNER_TERMINATED, RUNNER_LOST);
	}
}

static void refused(void *arg, const struct err *e)
{
	struct runner *r = arg;
	log_error("worker.stream_refused", "session=%s error=%s", r->o.session, LOG_Q(span_of(e->msg)));
	stop_with(r, RUNNER_REFUSED, RUNNER_STOP);
}

struct runner *runner_start(const struct runner_opts *opts)
{
	struct runner *r = NEW(struct runner);
	r->o = *opts;
	r->queue = json_array();
	r->held = json_array();
	r->history = json_array();
	r->seen = json_object();
	r->answered = json_object();
	r->verdicts = json_object();
	r->ended_threads = json_object();
	idle_init(&r->idle, opts->worker->loop, opts->worker->max_idle_ms, quiet, r);
	r->room = room_hold(opts->worker->rooms, opts->session);
	const struct feed_opts feed = {.plane = opts->worker->plane,
	                               .session = opts->session,
	                               .token = opts->token,
	                               .history_begin = history_begin,
	                               .history = history_event,
	                               .history_end = history_end,
	                               .live = live,
	                               .refused = refused,
	                               .arg = r};
	r->feed = feed_start(&feed);
	return r;
}

void runner_drop(struct runner **runner)
{
	struct runner *r = *runner;
	if (r == NULL)
		return;
	*runner = NULL;
	feed_drop(&r->feed);
	call_drop(&r->running);
	idle_fini(&r->idle);
	loop_timer_cancel(&r->soon);
	loop_timer_cancel(&r->drain);
	room_release(&r->room);
	json_decref(r->running_event);
	json_decref(r->queue);
	json_decref(r->held);
	json_decref(r->history);
	json_decref(r->seen);
	json_decref(r->answered);
	json_decref(r->verdicts);
	json_decref(r->ended_threads);
	free(r);
}

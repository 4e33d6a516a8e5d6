// What a session's events say: which calls are open, which may run, who answered, when the turn is over.
#include "base/log.h"
#include "tools/tools.h"
#include "worker/call.h"
#include "worker/plane.h"
#include "worker/runner_state.h"

static const char *id_of(const json_t *ev)
{
	return runner_text(ev, "id");
}

static bool is_call(const json_t *ev)
{
	return (runner_type_is(ev, "agent.tool_use") || runner_type_is(ev, "agent.custom_tool_use")) &&
	       plane_id_ok(span_of(id_of(ev)), TOOLS_ID_MAX);
}

// --- who may run

static void apply_verdict(struct runner *r, json_t *ev, const char *verdict)
{
	size_t at = runner_find(r->held, id_of(ev));
	AUTO_JSON json_t *keep = json_incref(ev);
	if (at != SIZE_MAX)
		json_array_remove(r->held, at);
	if (strcmp(verdict, "allow") == 0) {
		runner_enqueue(r, keep, true);
	} else {
		runner_add(r->answered, id_of(keep)); // the denial answers it at control
		log_info("worker.call_denied", "session=%s call=%s", r->o.session, id_of(keep));
	}
	if (at != SIZE_MAX)
		idle_unblock(&r->idle);
}

static void route(struct runner *r, json_t *ev)
{
	const char *permission = runner_text(ev, "evaluated_permission");
	bool told = json_object_get(ev, "evaluated_permission") != NULL;
	if (runner_of_ended_thread(r, ev))
		return;
	const char *verdict =
	        strcmp(permission, "deny") == 0 ? "deny" : json_string_value(json_object_get(r->verdicts, id_of(ev)));
	if (verdict != NULL) {
		apply_verdict(r, ev, verdict);
	} else if (!told || strcmp(permission, "allow") == 0) {
		runner_enqueue(r, ev, false);
	} else if (runner_find(r->held, id_of(ev)) == SIZE_MAX && json_array_size(r->held) < RUNNER_QUEUE_MAX) {
		log_info("worker.call_held", "session=%s call=%s", r->o.session, id_of(ev));
		json_array_append(r->held, ev);
		idle_block(&r->idle);
	}
}

static void release_ended_threads(struct runner *r)
{
	for (size_t i = json_array_size(r->held); i-- > 0;) {
		if (runner_of_ended_thread(r, json_array_get(r->held, i))) {
			json_array_remove(r->held, i);
			idle_abandon(&r->idle);
		}
	}
}

// Whoever answered it, it waits for no confirmation any more: an interrupt closes held calls too, and a session must not be
// held for them. (The official worker goes on waiting.)
static void note_answered(struct runner *r, const char *id)
{
	size_t held = runner_find(r->held, id);
	runner_add(r->answered, id);
	if (held != SIZE_MAX) {
		json_array_remove(r->held, held);
		idle_abandon(&r->idle);
	}
	if (r->running != NULL && strcmp(call_id(r->running), id) == 0)
		call_stop(r->running, CALL_MOOT);
}

// What both the history and the stream teach.
static void note(struct runner *r, json_t *ev)
{
	if (runner_type_is(ev, "user.tool_result"))
		note_answered(r, runner_text(ev, "tool_use_id"));
	else if (runner_type_is(ev, "user.custom_tool_result"))
		note_answered(r, runner_text(ev, "custom_tool_use_id"));
	else if (runner_type_is(ev, "session.thread_status_terminated") && runner_text(ev, "session_thread_id")[0] != '\0')
		runner_add(r->ended_threads, runner_text(ev, "session_thread_id"));
	else if (runner_type_is(ev, "user.tool_confirmation") && json_object_size(r->verdicts) < RUNNER_KNOWN_MAX)
		json_object_set_new(r->verdicts, runner_text(ev, "tool_use_id"), json_string(runner_text(ev, "result")));
}

// --- the history

void runner_events_begin(void *arg)
{
	struct runner *r = arg;
	json_array_clear(r->history);
	r->history_ended_turn = false;
}

void runner_events_history(void *arg, json_t *ev)
{
	struct runner *r = arg;
	if (!idle_is_neutral(ev))
		r->history_ended_turn = idle_ends_turn(ev);
	note(r, ev);
	if (runner_type_is(ev, "user.interrupt") && id_of(ev)[0] != '\0')
		runner_add(r->seen, id_of(ev)); // the stream's copy of it must not stop what the history has behind it
	if (is_call(ev) && !runner_has(r->answered, id_of(ev)) && runner_find(r->history, id_of(ev)) == SIZE_MAX) {
		runner_add(r->seen, id_of(ev));
		json_array_append(r->history, ev);
	}
}

void runner_events_end(void *arg, bool complete)
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
		if (runner_has(r->answered, id_of(ev)))
			continue;
		route(r, ev);
		open = open || !(runner_has(r->answered, id_of(ev)) || runner_of_ended_thread(r, ev) ||
		                 runner_under_way(r, id_of(ev)) || runner_find(r->held, id_of(ev)) != SIZE_MAX);
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
	const char *thread = runner_text(ev, "session_thread_id");
	for (size_t i = json_array_size(r->queue); i-- > 0;) {
		if (thread[0] != '\0' && strcmp(runner_text(json_array_get(r->queue, i), "session_thread_id"), thread) != 0)
			continue;
		json_array_remove(r->queue, i);
		idle_unblock(&r->idle);
	}
	if (r->running != NULL &&
	    (thread[0] == '\0' || strcmp(runner_text(r->running_event, "session_thread_id"), thread) == 0)) {
		log_info("worker.call_interrupted", "session=%s call=%s", r->o.session, call_id(r->running));
		call_interrupt(r->running);
	}
}

void runner_events_live(void *arg, json_t *ev)
{
	struct runner *r = arg;
	if (r->stopping) {
		note(r, ev);
		return;
	}
	idle_note_event(&r->idle, ev);
	note(r, ev);
	if (is_call(ev)) {
		if (!runner_has(r->seen, id_of(ev))) {
			runner_add(r->seen, id_of(ev));
			route(r, ev);
		}
	} else if (runner_type_is(ev, "user.tool_confirmation")) {
		size_t at = runner_find(r->held, runner_text(ev, "tool_use_id"));
		if (at != SIZE_MAX)
			apply_verdict(r, json_array_get(r->held, at), runner_text(ev, "result"));
	} else if (runner_type_is(ev, "session.thread_status_terminated")) {
		release_ended_threads(r);
	} else if (runner_type_is(ev, "user.interrupt") && !runner_has(r->seen, id_of(ev))) {
		interrupted(r, ev);
	} else if (runner_type_is(ev, "session.status_terminated") || runner_type_is(ev, "session.deleted")) {
		log_info("worker.session_over", "session=%s", r->o.session);
		r->deleted = runner_type_is(ev, "session.deleted");
		runner_end_with(r, RUNNER_TERMINATED, RUNNER_LOST);
	}
}

#include "base/log.h"
#include "base/mem.h"
#include "worker/call.h"
#include "worker/feed.h"
#include "worker/lease.h"
#include "worker/room.h"
#include "worker/runner_state.h"

#define DRAIN_MS 20000

static void run_next(struct runner *r);

static const char *id_of(const json_t *ev)
{
	return runner_text(ev, "id");
}

void runner_add(json_t *set, const char *id)
{
	if (json_object_size(set) < RUNNER_KNOWN_MAX)
		json_object_set_new(set, id, json_true());
}

size_t runner_find(const json_t *list, const char *id)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(id_of(json_array_get(list, i)), id) == 0)
			return i;
	}
	return SIZE_MAX;
}

bool runner_under_way(const struct runner *r, const char *id)
{
	return (r->running != NULL && strcmp(call_id(r->running), id) == 0) || runner_find(r->queue, id) != SIZE_MAX;
}

bool runner_of_ended_thread(const struct runner *r, const json_t *ev)
{
	return runner_has(r->ended_threads, runner_text(ev, "session_thread_id"));
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

void runner_end_with(struct runner *r, enum runner_end end, enum runner_stop how)
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
	runner_end_with(r, RUNNER_STOPPED, RUNNER_STOP);
}

void runner_stop(struct runner *r, enum runner_stop how)
{
	if (how == RUNNER_DRAIN && r->drain == NULL)
		r->drain = loop_timer_start(r->o.worker->loop, DRAIN_MS, drained_long_enough, r);
	runner_end_with(r, RUNNER_STOPPED, how);
}

static void quiet(void *arg)
{
	struct runner *r = arg;
	log_info("worker.session_idle", "session=%s max_idle_ms=%llu", r->o.session, (unsigned long long)r->idle.max_ms);
	runner_end_with(r, RUNNER_IDLE, RUNNER_STOP);
}

// --- running, one after the other

static void call_over(void *arg, enum call_end end)
{
	struct runner *r = arg;
	if (end == CALL_ANSWERED)
		runner_add(r->answered, id_of(r->running_event));
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
		if (runner_has(r->answered, id_of(ev)) || runner_of_ended_thread(r, ev) || !lease_live(r->o.lease)) {
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

void runner_enqueue(struct runner *r, json_t *ev, bool confirmed)
{
	struct span name = span_of(runner_text(ev, "name"));
	if (runner_has(r->answered, id_of(ev)) || runner_under_way(r, id_of(ev)) || r->stopping)
		return;
	if (!runner_type_is(ev, "agent.tool_use") || !call_is_ours(name)) {
		log_info("worker.call_not_ours", "session=%s call=%s tool=%s", r->o.session, id_of(ev), LOG_Q(name));
		if (confirmed)
			idle_disarm(&r->idle);
		return;
	}
	if (json_array_size(r->queue) >= RUNNER_QUEUE_MAX) {
		log_warn("worker.calls_waiting", "session=%s call=%s left=1", r->o.session, id_of(ev));
		return;
	}
	json_array_append(r->queue, ev);
	idle_block(&r->idle);
	run_next(r);
}

static void refused(void *arg, const struct err *e)
{
	struct runner *r = arg;
	log_error("worker.stream_refused", "session=%s error=%s", r->o.session, LOG_Q(span_of(e->msg)));
	runner_end_with(r, RUNNER_REFUSED, RUNNER_STOP);
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
	                               .history_begin = runner_events_begin,
	                               .history = runner_events_history,
	                               .history_end = runner_events_end,
	                               .live = runner_events_live,
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
	if (r->deleted)
		room_remove(r->room, "its session was deleted");
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

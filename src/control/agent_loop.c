#include "control/agent_loop.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "control/agent_loop_answer.h"
#include "control/agent_loop_history.h"
#include "control/agent_loop_turn.h"
#include "model/model_turn.h"

#define REQUEST_MAX (64 * 1024 * 1024)
#define REQUESTS_MAX 1000 // model requests without a word of a user: a loop that runs away ends here

static void begin(struct agent_loop_turn *t);

static void on_wait_over(void *arg)
{
	struct agent_loop_turn *t = arg;
	t->timer = NULL;
	begin(t);
}

static void wait(struct agent_loop_turn *t, uint64_t ms)
{
	t->step = AGENT_LOOP_WAIT;
	t->timer = loop_timer_start(t->owner->o.loop, ms, on_wait_over, t);
}

// After a callback of the log: true when the turn was dropped meanwhile, and is gone or begun anew.
static bool overtaken(struct agent_loop_turn *t)
{
	if (t->owner->draining) {
		agent_loop_turn_free(t);
		return true;
	}
	if (t->again) {
		agent_loop_turn_drop_request(t);
		begin(t);
		return true;
	}
	if (t->stale) {
		agent_loop_turn_free(t);
		return true;
	}
	return false;
}

// The log could not be read or written: the turn is begun anew when that may have passed.
static void on_log_trouble(struct agent_loop_turn *t, const char *what, const struct err *e)
{
	log_error("agent_loop.log", "session=%s doing=%s why=%s", t->session, what, LOG_Q(span_of(e->msg)));
	struct model_failure f;
	model_failure_transport(&f, e->msg);
	uint64_t ms = model_failure_backoff_ms(&f, ++t->log_failures, random_u64());
	agent_loop_turn_drop_request(t);
	wait(t, ms);
}

static void on_ended(void *arg, const struct err *e)
{
	struct agent_loop_turn *t = arg;
	if (overtaken(t))
		return;
	if (e != NULL && e->kind != ERR_CONFLICT) {
		on_log_trouble(t, "end", e);
		return;
	}
	if (e == NULL && t->retry_ms > 0) {
		agent_loop_turn_drop_request(t);
		wait(t, t->retry_ms);
		return;
	}
	agent_loop_turn_free(t);
}

static void end(struct agent_loop_turn *t, struct turn_end *te)
{
	te->span_id = t->span;
	t->step = AGENT_LOOP_END;
	event_log_turn_end(t->owner->o.log, t->session, te, on_ended, t);
}

// Ends the turn in an error: asked again after a while, or given up.
static void end_failed(struct agent_loop_turn *t, const struct model_failure *f)
{
	unsigned retries = t->model == NULL ? 0 : t->model->retries;
	bool retry = f->retry && t->history.failures < retries;
	t->retry_ms = retry ? model_failure_backoff_ms(f, t->history.failures + 1, random_u64()) : 0;
	log_warn("agent_loop.failed", "session=%s failures=%u retry_ms=%llu why=%s", t->session, t->history.failures + 1,
	         (unsigned long long)t->retry_ms, LOG_Q(span_of(f->message)));
	struct turn_end te = {
	        .events = json_pack("[o]", agent_loop_error(f->type, f->message, retry ? "retrying" : "exhausted")),
	        .is_error = true,
	        .next = retry ? TURN_RESCHEDULE : TURN_GIVE_UP,
	        .stop_reason = retry ? NULL : "retries_exhausted",
	};
	end(t, &te);
}

static void on_answer(void *arg, struct model_answer *answer, const struct model_failure *failure)
{
	struct agent_loop_turn *t = arg;
	t->call = NULL;
	model_place_leave(&t->place);
	agent_loop_audit_outcome(t, failure == NULL ? NULL : failure->message);
	if (failure != NULL) {
		end_failed(t, failure);
		return;
	}
	struct agent_loop_outcome out;
	agent_loop_answer(t->agent, answer, t->ids, &out);
	json_t *usage = STEAL(answer->usage);
	struct turn_end te = {
	        .events = out.events,
	        .model_usage = usage,
	        .next = TURN_SETTLE,
	        .stop_reason = out.stop_reason,
	        .stop_details = out.stop_details,
	};
	model_answer_fini(answer);
	t->retry_ms = 0;
	end(t, &te);
}

static void ask(struct agent_loop_turn *t)
{
	t->step = AGENT_LOOP_ASK;
	t->ids = NEW(struct agent_loop_ids);
	t->asked_us = clock_mono_us();
	struct model_call_opts o = {
	        .model = t->model,
	        .body = buf_span(&t->body),
	        .fast = model_turn_is_fast(json_object_get(t->agent, "model")),
	        .while_it_comes = {.on_block = agent_loop_on_block, .on_text = agent_loop_on_text, .arg = t},
	        .done = on_answer,
	        .arg = t,
	};
	t->call = model_call_start(t->owner->o.models, &o);
	buf_fini(&t->body);
}

static void on_intent(void *arg, const struct err *e)
{
	struct agent_loop_turn *t = arg;
	t->intent = NULL;
	if (e == NULL) {
		ask(t);
		return;
	}
	// Nothing runs unrecorded: no record, no request.
	struct model_failure f;
	model_failure_transport(&f, e->msg);
	f.type = "unknown_error";
	snprintf(f.message, sizeof(f.message), "the model was not asked: its audit record could not be made: %.400s", e->msg);
	end_failed(t, &f);
}

static struct result find_model(struct agent_loop_turn *t, const struct session_view *v, struct err *e)
{
	json_decref(t->agent);
	t->agent = NULL;
	TRY(json_parse_object(v->agent_json, "the session's agent", &t->agent, e));
	t->model = model_client_find(t->owner->o.models, json_span(json_object_get(json_object_get(t->agent, "model"), "id")));
	return OK;
}

// The turn's request out of what the log says. Fails with why the model can't be asked.
static struct result prepare(struct agent_loop_turn *t, const struct session_view *v, struct err *e)
{
	TRY(find_model(t, v, e));
	struct span id = json_span(json_object_get(json_object_get(t->agent, "model"), "id"));
	if (t->model == NULL)
		return err_set(e, ERR_NOT_FOUND, "no endpoint is configured for the model \"%.*s\": add one to control.models",
		               SPAN_FMT(span_head(id, 100)));
	struct span sent = t->model->sends != NULL ? span_of(t->model->sends) : id;
	if (t->history.requests > REQUESTS_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d model requests without a word of the user: given up",
		               REQUESTS_MAX);
	struct model_turn_event *events = mem_zero((v->n_events + 1) * sizeof(*events));
	struct model_turn_opts o = {
	        .agent = v->agent_json, .events = events, .model = sent, .max_tokens = t->model->max_tokens};
	for (size_t i = 0; i < v->n_events && v->events[i].seq <= t->up_to_seq; i++) {
		const struct event_view *ev = &v->events[i];
		if (model_turn_sees(ev->type))
			events[o.n_events++] = (struct model_turn_event){.json = ev->json, .kept = ev->kept};
	}
	buf_init(&t->body, REQUEST_MAX);
	struct result r = model_turn_request(&o, &t->body, e);
	free(events);
	return r;
}

static void on_read(void *arg, const struct session_view *v, const struct err *e)
{
	struct agent_loop_turn *t = arg;
	if (overtaken(t))
		return;
	if (e != NULL && e->kind != ERR_NOT_FOUND) {
		on_log_trouble(t, "read", e);
		return;
	}
	if (e != NULL || !span_is(v->open_span, t->span)) {
		agent_loop_turn_free(t); // interrupted or deleted between the two
		return;
	}
	struct err why;
	t->history = agent_loop_history(v->events, v->n_events);
	if (failed(prepare(t, v, &why))) {
		struct model_failure f;
		model_failure_final(&f, why.msg);
		if (t->history.requests > REQUESTS_MAX)
			f.type = "tool_use_limit_reached_error";
		end_failed(t, &f);
		return;
	}
	t->step = AGENT_LOOP_INTENT;
	t->intent = agent_loop_audit_intent(t, on_intent);
}

static void on_begun(void *arg, const char *span_id, int64_t up_to_seq, const struct err *e)
{
	struct agent_loop_turn *t = arg;
	bool again = t->again;
	t->again = false;
	if (t->owner->draining || (e != NULL && e->kind == ERR_CONFLICT)) {
		agent_loop_turn_drop_request(t);
		if (again && !t->owner->draining)
			begin(t);
		else
			agent_loop_turn_free(t);
		return;
	}
	if (e != NULL) {
		on_log_trouble(t, "begin", e);
		return;
	}
	t->log_failures = 0;
	snprintf(t->span, sizeof(t->span), "%s", span_id);
	t->up_to_seq = up_to_seq;
	t->step = AGENT_LOOP_READ;
	event_log_read(t->owner->o.log, t->session, 0, on_read, t);
}

static void on_place(void *arg)
{
	struct agent_loop_turn *t = arg;
	t->step = AGENT_LOOP_BEGIN;
	event_log_turn_begin(t->owner->o.log, t->session, on_begun, t);
}

static void stand_in_line(struct agent_loop_turn *t)
{
	if (t->model == NULL) { // there is no line: it is begun to be given up
		on_place(t);
		return;
	}
	t->step = AGENT_LOOP_LINE;
	t->place = model_place_take(model_client_line(t->owner->o.models, t->model), on_place, t);
}

static void on_looked(void *arg, const struct session_view *v, const struct err *e)
{
	struct agent_loop_turn *t = arg;
	struct err why;
	if (overtaken(t))
		return;
	if (e != NULL && e->kind == ERR_NOT_FOUND) {
		agent_loop_turn_free(t);
	} else if (e != NULL) {
		on_log_trouble(t, "look", e);
	} else {
		if (failed(find_model(t, v, &why)))
			t->model = NULL; // said when it is given up
		stand_in_line(t);
	}
}

static void begin(struct agent_loop_turn *t)
{
	t->stale = t->again = false;
	t->step = AGENT_LOOP_LOOK;
	event_log_read(t->owner->o.log, t->session, INT64_MAX, on_looked, t);
}

// The log calls back from the steps LOOK, BEGIN, READ and END, come what may; the others can be dropped at once.
static bool log_calls_back(const struct agent_loop_turn *t)
{
	return t->step == AGENT_LOOP_LOOK || t->step == AGENT_LOOP_BEGIN || t->step == AGENT_LOOP_READ ||
	       t->step == AGENT_LOOP_END;
}

static void on_change(void *arg, const char *session, enum event_log_change what)
{
	struct agent_loop *l = arg;
	struct agent_loop_turn *t = agent_loop_turn_find(l, session);
	if (l->draining)
		return;
	if (what == EVENT_LOG_TURN_DUE) {
		if (t == NULL) {
			begin(agent_loop_turn_new(l, session));
		} else if (log_calls_back(t)) {
			t->again = true;
		} else {
			agent_loop_turn_drop_request(t);
			begin(t);
		}
	} else if (t != NULL && log_calls_back(t)) {
		// A turn that is being begun is begun after this change, so the change does not concern it.
		t->stale = t->step != AGENT_LOOP_BEGIN;
		t->again = false;
	} else if (t != NULL) {
		agent_loop_turn_free(t);
	}
}

struct agent_loop *agent_loop_start(const struct agent_loop_opts *o)
{
	struct agent_loop *l = NEW(struct agent_loop);
	l->o = *o;
	event_log_on_change(o->log, on_change, l);
	event_log_resume(o->log);
	return l;
}

static bool can_go_at_once(const struct agent_loop_turn *t)
{
	return !log_calls_back(t);
}

void agent_loop_drain(struct agent_loop *l)
{
	l->draining = true;
	agent_loop_turn_free_all(l, can_go_at_once);
}

void agent_loop_stop(struct agent_loop **l)
{
	if (*l == NULL)
		return;
	agent_loop_turn_free_all(*l, NULL);
	free(*l);
	*l = NULL;
}

size_t agent_loop_turns(const struct agent_loop *l)
{
	return l->n_turns;
}

#include "control/agent_loop_turn.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

static struct agent_loop_turn **bucket(const struct agent_loop *l, const char *session)
{
	return (struct agent_loop_turn **)&l->buckets[hash_text(session) % AGENT_LOOP_BUCKETS];
}

struct agent_loop_turn *agent_loop_turn_find(const struct agent_loop *l, const char *session)
{
	struct agent_loop_turn *t = *bucket(l, session);
	while (t != NULL && strcmp(t->session, session) != 0)
		t = t->next;
	return t;
}

struct agent_loop_turn *agent_loop_turn_new(struct agent_loop *l, const char *session)
{
	struct agent_loop_turn *t = NEW(struct agent_loop_turn), **b = bucket(l, session);
	t->owner = l;
	snprintf(t->session, sizeof(t->session), "%s", session);
	t->next = *b;
	*b = t;
	l->n_turns++;
	return t;
}

void agent_loop_turn_drop_request(struct agent_loop_turn *t)
{
	if (t->step == AGENT_LOOP_ASK && t->call != NULL)
		agent_loop_audit_outcome(t, "dropped: the turn ended while the model answered");
	audit_cancel(&t->intent);
	model_call_cancel(&t->call);
	model_place_leave(&t->place);
	loop_timer_cancel(&t->timer);
	buf_fini(&t->body);
	json_decref(t->agent);
	t->agent = NULL;
	free(t->ids);
	t->ids = NULL;
}

void agent_loop_turn_free(struct agent_loop_turn *t)
{
	struct agent_loop_turn **p = bucket(t->owner, t->session);
	agent_loop_turn_drop_request(t);
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->owner->n_turns--;
	free(t);
}

void agent_loop_turn_free_all(struct agent_loop *l, bool (*fits)(const struct agent_loop_turn *t))
{
	for (size_t i = 0; i < AGENT_LOOP_BUCKETS; i++) {
		for (struct agent_loop_turn *t = l->buckets[i], *next; t != NULL; t = next) {
			next = t->next;
			if (fits == NULL || fits(t))
				agent_loop_turn_free(t);
		}
	}
}

static struct span model_of(const struct agent_loop_turn *t)
{
	return t->model->sends != NULL ? span_of(t->model->sends)
	                               : json_span(json_object_get(json_object_get(t->agent, "model"), "id"));
}

static struct span agent_id(const struct agent_loop_turn *t)
{
	return json_span(json_object_get(t->agent, "id"));
}

struct audit_pending *agent_loop_audit_intent(struct agent_loop_turn *t, void (*done)(void *arg, const struct err *e))
{
	AUTO_FREE char *uid = mem_printf("%s.intent", t->span);
	struct audit_entry entry = {
	        .phase = AUDIT_INTENT,
	        .uid = span_of(uid),
	        .operation = SPAN_LIT("model.request"),
	        .session = span_of(t->session),
	        .agent = agent_id(t),
	        .object = model_of(t),
	        .arguments = buf_span(&t->body),
	};
	return audit_record(t->owner->o.audit, &entry, done, t);
}

static void outcome_recorded(void *arg, const struct err *e)
{
	(void)arg;
	if (e != NULL)
		log_warn("agent_loop.audit", "why=%s", LOG_Q(span_of(e->msg)));
}

void agent_loop_audit_outcome(struct agent_loop_turn *t, const char *why)
{
	AUTO_FREE char *uid = mem_printf("%s.outcome", t->span);
	AUTO_FREE char *pair = mem_printf("%s.intent", t->span);
	struct audit_entry entry = {
	        .phase = AUDIT_OUTCOME,
	        .uid = span_of(uid),
	        .pair = span_of(pair),
	        .operation = SPAN_LIT("model.request"),
	        .session = span_of(t->session),
	        .agent = agent_id(t),
	        .object = model_of(t),
	        .failed = why != NULL,
	        .reason = span_of(why),
	        .duration_us = clock_mono_us() - t->asked_us,
	};
	(void)audit_record(t->owner->o.audit, &entry, outcome_recorded, NULL);
}

static void preview(struct agent_loop_turn *t, const char *type, const char *name, json_t *event)
{
	size_t len;
	AUTO_FREE char *text = json_text(event, &len);
	event_log_preview(t->owner->o.log, t->session, type, name, (struct span){text, len});
	json_decref(event);
}

void agent_loop_on_block(void *arg, size_t index, struct span type)
{
	struct agent_loop_turn *t = arg;
	if (!agent_loop_ids_add(t->ids, type) || span_is(type, "tool_use"))
		return;
	const char *event = span_is(type, "text") ? "agent.message" : "agent.thinking";
	preview(t, event, "event_start",
	        json_pack("{s:s, s:{s:s, s:s}}", "type", "event_start", "event", "type", event, "id", t->ids->of_block[index]));
}

void agent_loop_on_text(void *arg, size_t index, struct span text)
{
	struct agent_loop_turn *t = arg;
	preview(t, "agent.message", "event_delta",
	        json_pack("{s:s, s:s, s:{s:s, s:i, s:{s:s, s:o}}}", "type", "event_delta", "event_id", t->ids->of_block[index],
	                  "delta", "type", "content_delta", "index", (int)t->ids->part[index], "content", "type", "text",
	                  "text", json_string_lossy(text)));
}

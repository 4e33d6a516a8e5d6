#include "control/event_log_state.h"

#include "base/log.h"
#include "base/mem.h"
#include "control/calls.h"
#include "control/op.h"
#include "control/stream.h"

struct event_log {
	struct control *c;
	void (*changed)(void *arg, const char *session, enum event_log_change what);
	void *arg;
};

struct event_log *event_log_new(struct control *c)
{
	struct event_log *log = NEW(struct event_log);
	log->c = c;
	return log;
}

void event_log_free(struct event_log *log)
{
	free(log);
}

struct control *event_log_control(const struct event_log *log)
{
	return log->c;
}

void event_log_on_change(struct event_log *log, void (*changed)(void *arg, const char *session, enum event_log_change what),
                         void *arg)
{
	log->changed = changed;
	log->arg = arg;
}

void event_log_tell(struct event_log *log, const char *session, enum event_log_change what)
{
	if (log->changed != NULL)
		log->changed(log->arg, session, what);
}

void event_log_preview(struct event_log *log, const char *session, const char *type, const char *name, struct span json)
{
	stream_hub_preview(log->c->hub, session, type, name, json);
}

static bool take_busy(void *arg, const struct store_row *row)
{
	struct span id = store_text(row, 0);
	json_array_append_new(arg, json_stringn(id.data, id.len));
	return true;
}

static struct result find_busy(struct op *op, struct store_tx *tx, struct err *e)
{
	return store_query(tx, e, take_busy, op->arg, "SELECT id FROM sessions WHERE status IN (1, 2) ORDER BY num", "");
}

static void tell_busy(struct op *op)
{
	size_t i;
	json_t *ids = op->arg, *id;
	json_array_foreach (ids, i, id) {
		event_log_tell(op->c->log, json_string_value(id), EVENT_LOG_TURN_DUE);
	}
}

static void release_json(void *arg)
{
	json_decref(arg);
}

static void resume_failed(struct op *op, const struct err *e)
{
	(void)op;
	log_error("sessions.resume", "error=%s", LOG_Q(span_of(e->msg)));
}

void event_log_resume(struct event_log *log)
{
	struct op *op = op_new(log->c, NULL, find_busy);
	op->arg = json_array();
	op->release = release_json;
	op->published = tell_busy;
	op->refused = resume_failed;
	op_read(op);
}

// --- a turn

struct turn {
	char session[ID_MAX];
	void (*begun)(void *arg, const char *span_id, int64_t up_to_seq, const struct err *e);
	void (*ended)(void *arg, const struct err *e);
	void *arg;
	char span_id[ID_MAX];
	int64_t up_to_seq;
	json_t *events, *usage, *details;
	bool is_error;
	enum turn_next next;
	char stop_reason[32];
	char worker_epoch[EPOCH_MAX];
};

static void turn_release(void *arg)
{
	struct turn *t = arg;
	json_decref(t->events);
	json_decref(t->usage);
	json_decref(t->details);
	free(t);
}

static struct op *turn_op(struct event_log *log, const char *session, void *arg,
                          struct result (*run)(struct op *op, struct store_tx *tx, struct err *e))
{
	struct op *op = op_new(log->c, NULL, run);
	struct turn *t = NEW(struct turn);
	strncpy(t->session, session, ID_MAX - 1);
	t->arg = arg;
	op->arg = t;
	op->release = turn_release;
	return op;
}

static struct result begin(struct op *op, struct store_tx *tx, struct err *e)
{
	struct turn *t = op->arg;
	struct session_tx s;
	if (failed(session_tx_load(&s, op, tx, t->session, e)))
		return e->kind == ERR_NOT_FOUND ? err_set(e, ERR_CONFLICT, "session %s is gone", t->session) : FAIL;
	if (s.status != SESSION_RUNNING && s.status != SESSION_RESCHEDULING)
		return err_set(e, ERR_CONFLICT, "session %s has no turn due", s.id);
	if (s.open_span[0] != '\0') // of a process that died
		TRY(session_tx_end_span(&s, true, NULL, e));
	TRY(session_tx_status(&s, SESSION_RUNNING, e));
	TRY(session_tx_take_waiting(&s, e));
	t->up_to_seq = s.up_to_seq = s.next_seq - 1;
	TRY(session_tx_append_plain(&s, "span.model_request_start", t->span_id, e));
	memcpy(s.open_span, t->span_id, ID_MAX);
	return session_tx_save(&s, e);
}

static void begin_published(struct op *op)
{
	struct turn *t = op->arg;
	t->begun(t->arg, t->span_id, t->up_to_seq, NULL);
}

static void begin_refused(struct op *op, const struct err *e)
{
	struct turn *t = op->arg;
	t->begun(t->arg, NULL, 0, e);
}

void event_log_turn_begin(struct event_log *log, const char *session,
                          void (*done)(void *arg, const char *span_id, int64_t up_to_seq, const struct err *e), void *arg)
{
	struct op *op = turn_op(log, session, arg, begin);
	((struct turn *)op->arg)->begun = done;
	op->published = begin_published;
	op->refused = begin_refused;
	op_note(op, AUDIT_ADMIN, "turn.begin", session, "");
	op_submit(op);
}

// A result in the batch closes its call: one that never went to a worker.
static struct result close_answered(struct session_tx *s, const json_t *ev, const char *id, struct err *e)
{
	static const char *const refs[] = {"tool_use_id", "custom_tool_use_id", "mcp_tool_use_id"};
	for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
		struct span ref = json_span(json_object_get(ev, refs[i]));
		if (ref.len == 0)
			continue;
		struct call c;
		TRY(calls_find(s, ref, &c, e));
		return calls_close(s, c.id, id, NULL, e);
	}
	return OK;
}

static struct result append_answer(struct session_tx *s, const struct turn *t, struct err *e)
{
	size_t i;
	json_t *ev;
	json_array_foreach (t->events, i, ev) {
		char id[ID_MAX];
		const char *given = json_string_value(json_object_get(ev, "id"));
		TRY(session_tx_append(s, ev, given, true, id, e));
		TRY(close_answered(s, ev, id, e));
	}
	return OK;
}

static struct result end(struct op *op, struct store_tx *tx, struct err *e)
{
	struct turn *t = op->arg;
	struct session_tx s;
	if (failed(session_tx_load(&s, op, tx, t->session, e)))
		return e->kind == ERR_NOT_FOUND ? err_set(e, ERR_CONFLICT, "session %s is gone", t->session) : FAIL;
	if (strcmp(s.open_span, t->span_id) != 0)
		return err_set(e, ERR_CONFLICT, "model request %s is not open any more", t->span_id);
	s.worker_epoch = t->worker_epoch[0] == '\0' ? NULL : t->worker_epoch;
	TRY(append_answer(&s, t, e));
	TRY(session_tx_end_span(&s, t->is_error, t->usage, e));
	if (t->next == TURN_RESCHEDULE) {
		TRY(session_tx_status(&s, SESSION_RESCHEDULING, e));
	} else {
		s.want = t->next == TURN_GIVE_UP     ? SESSION_TX_GIVE_UP
		         : t->stop_reason[0] == '\0' ? SESSION_TX_SETTLE
		                                     : SESSION_TX_STOP;
		s.stop_reason = t->stop_reason;
		s.stop_details = t->details;
	}
	return session_tx_save(&s, e);
}

static void end_published(struct op *op)
{
	struct turn *t = op->arg;
	t->ended(t->arg, NULL);
}

static void end_refused(struct op *op, const struct err *e)
{
	struct turn *t = op->arg;
	t->ended(t->arg, e);
}

void event_log_turn_end(struct event_log *log, const char *session, const struct turn_end *te,
                        void (*done)(void *arg, const struct err *e), void *arg)
{
	struct op *op = turn_op(log, session, arg, end);
	struct turn *t = op->arg;
	t->ended = done;
	strncpy(t->span_id, te->span_id, ID_MAX - 1);
	t->events = te->events;
	t->usage = te->model_usage;
	t->details = te->stop_details;
	t->is_error = te->is_error;
	t->next = te->next;
	if (te->stop_reason != NULL)
		strncpy(t->stop_reason, te->stop_reason, sizeof(t->stop_reason) - 1);
	stream_hub_worker_epoch(log->c->hub, session, t->worker_epoch);
	op->published = end_published;
	op->refused = end_refused;
	struct record_note *n = op_note(op, AUDIT_ADMIN, te->is_error ? "turn.fail" : "turn.end", session, te->span_id);
	if (te->events != NULL) {
		AUTO_FREE char *text = json_text(te->events, NULL);
		record_note_set(&n->result, span_of(text));
	}
	op_submit(op);
}

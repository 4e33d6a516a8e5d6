// A session as the agent loop reads it.
#include "base/mem.h"
#include "control/event_log_state.h"
#include "control/event_row.h"
#include "control/op.h"
#include "control/schema.h"

#define VIEW_MAX (512 * 1024 * 1024)

struct place { // of a text in `mem`, which moves while it grows
	size_t at, len;
};

struct row {
	int64_t seq;
	struct place id, type, json, kept;
};

struct reading {
	char session[ID_MAX];
	int64_t after_seq;
	void (*done)(void *arg, const struct session_view *v, const struct err *e);
	void *arg;
	int64_t num;
	struct session_view view;
	struct place environment, agent, span;
	struct buf mem;
	struct row *rows;
	size_t n_rows;
	bool full;
};

static struct place put(struct reading *rd, struct span text)
{
	struct place p = {buf_len(&rd->mem), text.len};
	rd->full |= !buf_add(&rd->mem, text);
	return p;
}

static struct span get(const struct reading *rd, struct place p)
{
	return span_from(buf_span(&rd->mem).data + p.at, p.len);
}

static bool take_session(void *arg, const struct store_row *row)
{
	struct reading *rd = arg;
	rd->num = store_int(row, 0);
	rd->view.status = (enum session_status)store_int(row, 1);
	rd->view.up_to_seq = store_int(row, 2);
	rd->view.last_seq = store_int(row, 3) - 1;
	rd->environment = put(rd, store_text(row, 4));
	rd->agent = put(rd, store_text(row, 5));
	rd->span = put(rd, store_text(row, 6));
	return true;
}

static bool take_event(void *arg, const struct store_row *row)
{
	struct reading *rd = arg;
	if ((rd->n_rows & (rd->n_rows - 1)) == 0) // at each power of two
		rd->rows = mem_grow(rd->rows, rd->n_rows == 0 ? 1 : rd->n_rows * 2, sizeof(*rd->rows));
	struct row *r = &rd->rows[rd->n_rows++];
	r->seq = schema_seq(store_int(row, 0));
	r->id = put(rd, store_text(row, 1));
	r->type = put(rd, store_text(row, 2));
	r->json.at = buf_len(&rd->mem);
	rd->full |= !event_row_text(&rd->mem, store_text(row, 4), store_int(row, 3));
	r->json.len = buf_len(&rd->mem) - r->json.at;
	r->kept = put(rd, store_text(row, 5));
	return !rd->full;
}

static struct result read_session(struct op *op, struct store_tx *tx, struct err *e)
{
	struct reading *rd = op->arg;
	TRY(store_query_one(
	        tx, e, take_session, rd,
	        "SELECT num, status, up_to_seq, next_seq, environment, agent, open_span FROM sessions WHERE id = $1", "s",
	        span_of(rd->session)));
	TRY(store_query(tx, e, take_event, rd,
	                "SELECT pos, id, type, processed_at, body, kept FROM events"
	                " WHERE pos BETWEEN $1 AND $2 AND processed_at IS NOT NULL ORDER BY pos",
	                "ii", schema_pos(rd->num, rd->after_seq + 1), schema_pos(rd->num, SCHEMA_SEQ_MAX)));
	return rd->full ? err_set(e, ERR_TOO_LARGE, "the events of session %s exceed %d bytes", rd->session, VIEW_MAX) : OK;
}

static void read_done(struct op *op)
{
	struct reading *rd = op->arg;
	struct event_view *events = mem_zero((rd->n_rows + 1) * sizeof(*events));
	for (size_t i = 0; i < rd->n_rows; i++) {
		const struct row *r = &rd->rows[i];
		events[i] = (struct event_view){r->seq, get(rd, r->id), get(rd, r->type), get(rd, r->json), get(rd, r->kept)};
	}
	rd->view.environment = get(rd, rd->environment);
	rd->view.agent_json = get(rd, rd->agent);
	rd->view.open_span = get(rd, rd->span);
	rd->view.events = events;
	rd->view.n_events = rd->n_rows;
	rd->done(rd->arg, &rd->view, NULL);
	free(events);
}

static void read_failed(struct op *op, const struct err *e)
{
	struct reading *rd = op->arg;
	rd->done(rd->arg, NULL, e);
}

static void release(void *arg)
{
	struct reading *rd = arg;
	buf_fini(&rd->mem);
	free(rd->rows);
	free(rd);
}

void event_log_read(struct event_log *log, const char *session, int64_t after_seq,
                    void (*done)(void *arg, const struct session_view *v, const struct err *e), void *arg)
{
	struct reading *rd = NEW(struct reading);
	strncpy(rd->session, session, ID_MAX - 1);
	rd->after_seq = after_seq < SCHEMA_SEQ_MAX ? after_seq : SCHEMA_SEQ_MAX - 1; // no event has the last number
	rd->done = done;
	rd->arg = arg;
	buf_init(&rd->mem, VIEW_MAX);
	struct op *op = op_new(event_log_control(log), NULL, read_session);
	op->arg = rd;
	op->release = release;
	op->published = read_done;
	op->refused = read_failed;
	op_read(op);
}

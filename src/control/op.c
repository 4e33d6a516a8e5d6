#include "control/op.h"

#include "base/log.h"
#include "base/mem.h"

#define ANSWER_MAX (64 * 1024 * 1024)

struct op_line {
	struct op *head, *tail; // changes
	struct op *reads;
	bool advancing;
};

struct op *op_new(struct control *c, struct request *r, struct result (*run)(struct op *op, struct store_tx *tx, struct err *e))
{
	struct op *op = NEW(struct op);
	op->c = c;
	op->r = r;
	op->run = run;
	buf_init(&op->answer, ANSWER_MAX);
	effects_init(&op->fx);
	return op;
}

static void op_free(struct op *op)
{
	if (op->release != NULL)
		op->release(op->arg);
	while (op->notes != NULL) {
		struct record_note *n = op->notes;
		op->notes = n->next;
		record_note_free(n);
	}
	if (op->r != NULL)
		request_free(op->r);
	json_decref(op->error.details);
	buf_fini(&op->answer);
	effects_fini(&op->fx);
	free(op);
}

struct record_note *op_note(struct op *op, enum audit_phase phase, const char *operation, const char *session,
                            const char *object)
{
	struct record_note *n = record_note_new(phase, operation);
	record_note_set(&n->session, span_of(session));
	record_note_set(&n->object, span_of(object));
	record_note_set(&n->actor, span_of(op->r == NULL ? "control" : op->r->who.id));
	struct record_note **end = &op->notes;
	while (*end != NULL)
		end = &(*end)->next;
	*end = n;
	return n;
}

static void line_remove(struct op_line *line, struct op *op)
{
	*(op->prev != NULL ? &op->prev->next : &line->head) = op->next;
	*(op->next != NULL ? &op->next->prev : &line->tail) = op->prev;
}

static void fail(struct op *op, const struct err *e)
{
	if (op->refused != NULL)
		op->refused(op, e);
	if (op->r != NULL) {
		if (e->kind == ERR_SYSTEM || e->kind == ERR_CORRUPT)
			log_error("request.failed", "id=%s error=%s", op->r->id, LOG_Q(span_of(e->msg)));
		struct request *r = STEAL(op->r);
		op->error.details = json_incref(op->error.details);
		request_refuse(r, e, &op->error);
	}
	op_free(op);
}

void op_refuse(struct op *op, const struct err *e)
{
	fail(op, e);
}

static void answer(struct op *op)
{
	if (op->r != NULL) {
		struct request *r = STEAL(op->r);
		request_answer(r, buf_span(&op->answer));
	}
	op_free(op);
}

// Publishes from the head of the line as far as everything is durable. Effects may submit further changes, never end them.
static void advance(struct op_line *line)
{
	if (line->advancing)
		return;
	line->advancing = true;
	while (line->head != NULL && line->head->committed && line->head->unrecorded_notes == 0) {
		struct op *op = line->head;
		line_remove(line, op);
		effects_apply(op->c, &op->fx);
		if (op->published != NULL)
			op->published(op);
		answer(op);
	}
	line->advancing = false;
}

static void note_recorded(void *arg)
{
	struct op *op = arg;
	op->unrecorded_notes--;
	advance(op->c->ops);
}

static void send_notes(struct op *op)
{
	for (struct record_note *n = op->notes; n != NULL; n = n->next) {
		if (n->record != NULL)
			continue;
		op->unrecorded_notes++;
		record_send(op->c->record, n, note_recorded, op);
	}
}

static void write_done(void *arg, const struct err *e)
{
	struct op *op = arg;
	struct op_line *line = op->c->ops;
	if (e != NULL) {
		line_remove(line, op);
		fail(op, e);
		advance(line);
		return;
	}
	op->committed = true;
	send_notes(op);
	advance(line);
}

static struct result run_job(struct store_tx *tx, void *arg, struct err *e)
{
	struct op *op = arg;
	return op->run(op, tx, e);
}

void op_submit(struct op *op)
{
	struct err e;
	if (!op->unrecorded && failed(record_check(op->c->record, &e))) {
		fail(op, &e);
		return;
	}
	struct op_line *line = op->c->ops;
	op->prev = line->tail;
	*(line->tail != NULL ? &line->tail->next : &line->head) = op;
	line->tail = op;
	send_notes(op);
	store_write(op->c->store, run_job, write_done, op);
}

static void read_done(void *arg, const struct err *e)
{
	struct op *op = arg;
	*(op->prev != NULL ? &op->prev->next : &op->c->ops->reads) = op->next;
	if (op->next != NULL)
		op->next->prev = op->prev;
	if (e != NULL) {
		fail(op, e);
		return;
	}
	if (op->published != NULL)
		op->published(op);
	answer(op);
}

void op_read(struct op *op)
{
	struct op_line *line = op->c->ops;
	op->next = line->reads;
	if (op->next != NULL)
		op->next->prev = op;
	line->reads = op;
	store_read(op->c->store, run_job, read_done, op);
}

struct op_line *op_line_new(void)
{
	return NEW(struct op_line);
}

bool op_line_idle(const struct op_line *line)
{
	return line->head == NULL;
}

void op_line_free(struct op_line *line)
{
	if (line == NULL)
		return;
	struct op *lists[] = {line->head, line->reads};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (struct op *op = lists[i], *next; op != NULL; op = next) {
			next = op->next;
			op_free(op);
		}
	}
	free(line);
}

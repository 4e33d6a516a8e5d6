#include "control/record.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

#define AGAIN_MS 100
#define FIELD_MAX (1024 * 1024)

struct record {
	struct loop *loop;
	struct audit_client *client;
};

struct record_note *record_note_new(enum audit_phase phase, const char *operation)
{
	struct record_note *n = NEW(struct record_note);
	char uid[ID_MAX];
	id_make(uid, "ctl");
	n->phase = phase;
	n->operation = mem_strdup(operation);
	n->uid = mem_strdup(uid);
	return n;
}

void record_note_set(char **field, struct span value)
{
	free(*field);
	*field = span_dup(span_head(value, FIELD_MAX));
}

void record_note_free(struct record_note *n)
{
	if (n == NULL)
		return;
	loop_timer_cancel(&n->again);
	if (n->pending != NULL)
		audit_cancel(&n->pending);
	char *fields[] = {n->uid,   n->pair,   n->operation, n->session,   n->agent,
	                  n->actor, n->object, n->reason,    n->arguments, n->result};
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		free(fields[i]);
	free(n);
}

struct result record_start(struct loop *l, const char *socket_path, struct record **out, struct err *e)
{
	struct record *r = NEW(struct record);
	r->loop = l;
	if (failed(audit_client_start(l, socket_path, "control", &r->client, e))) {
		free(r);
		return FAIL;
	}
	*out = r;
	return OK;
}

void record_stop(struct record **r)
{
	if (*r == NULL)
		return;
	audit_client_stop(&(*r)->client);
	free(*r);
	*r = NULL;
}

struct audit_client *record_client(const struct record *r)
{
	return r->client;
}

struct result record_check(const struct record *r, struct err *e)
{
	if (audit_client_ready(r->client))
		return OK;
	return err_set(e, ERR_UNREACHABLE,
	               "refused: the recorder does not answer, and nothing runs unrecorded. Start it with: sallyport recorder");
}

static void hand_in(struct record_note *n);

static void try_again(void *arg)
{
	struct record_note *n = arg;
	n->again = NULL;
	hand_in(n);
}

// The recorder will never take it as it is. That it happened is recorded all the same, under another uid and without what came
// from outside; the log line above has the rest.
static void strip(struct record_note *n)
{
	char **outside[] = {&n->reason, &n->arguments, &n->result, &n->object, &n->actor, &n->agent};
	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		free(*outside[i]);
		*outside[i] = NULL;
	}
	char uid[ID_MAX];
	id_make(uid, "ctl");
	record_note_set(&n->uid, span_of(uid));
	n->tries = 0;
}

static void recorded(void *arg, const struct err *e)
{
	struct record_note *n = arg;
	n->pending = NULL;
	if (e == NULL) {
		n->recorded(n->arg);
		return;
	}
	log_warn("record.again", "uid=%s error=%s", n->uid, LOG_Q(span_of(e->msg)));
	if (e->kind == ERR_INVALID || e->kind == ERR_TOO_LARGE || (e->kind == ERR_CONFLICT && n->tries++ > 20))
		strip(n);
	n->again = loop_timer_start(n->record->loop, AGAIN_MS, try_again, n);
}

static void hand_in(struct record_note *n)
{
	struct audit_entry entry = {
	        .phase = n->phase,
	        .uid = span_of(n->uid),
	        .pair = span_of(n->pair),
	        .operation = span_of(n->operation),
	        .session = span_of(n->session),
	        .agent = span_of(n->agent),
	        .actor = span_of(n->actor),
	        .object = span_of(n->object),
	        .denied = n->denied,
	        .failed = n->failed,
	        .reason = span_of(n->reason),
	        .arguments = span_of(n->arguments),
	        .result = span_of(n->result),
	};
	n->pending = audit_record(n->record->client, &entry, recorded, n);
}

void record_send(struct record *r, struct record_note *n, void (*done)(void *arg), void *arg)
{
	n->record = r;
	n->recorded = done;
	n->arg = arg;
	hand_in(n);
}

// What becomes of calls when a lease begins to see them and when it ends.
#include "base/mem.h"
#include "control/calls.h"

#define UNKNOWN_TEXT                                                                                                       \
	"The outcome of this call is unknown: its worker was lost after the call had been handed to it. It may have run, " \
	"wholly or in part, and it was not run again. Look at the state it works on before you repeat it."

struct open_calls {
	struct call *at;
	size_t n;
};

static void copy_text(char *out, size_t size, struct span s)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;
	memcpy(out, s.data == NULL ? "" : s.data, n);
	out[n] = '\0';
}

static bool take_open(void *arg, const struct store_row *row)
{
	struct open_calls *calls = arg;
	calls->at = mem_grow(calls->at, calls->n + 1, sizeof(*calls->at));
	struct call *c = &calls->at[calls->n++];
	memset(c, 0, sizeof(*c));
	copy_text(c->id, sizeof(c->id), store_text(row, 0));
	c->kind = (enum call_kind)store_int(row, 1);
	c->open = true;
	return true;
}

static struct result close_each(struct session_tx *s, struct result r, struct open_calls *calls, const char *text,
                                struct err *e)
{
	for (size_t i = 0; i < calls->n && !failed(r); i++)
		r = calls_close_without_worker(s, &calls->at[i], text, e);
	free(calls->at);
	return r;
}

struct result calls_close_all(struct session_tx *s, const char *text, struct err *e)
{
	struct open_calls calls = {NULL, 0};
	struct result r = store_query(s->tx, e, take_open, &calls,
	                              "SELECT id, kind FROM calls WHERE session = $1 AND open = 1 ORDER BY seq", "i", s->num);
	return close_each(s, r, &calls, text, e);
}

struct result calls_lease_ended(struct session_tx *s, const char *epoch, struct span journal, int64_t ttl_s, struct err *e)
{
	// What waits for a confirmation can't have run.
	TRY(store_exec(s->tx, e, "UPDATE calls SET epoch = NULL WHERE session = $1 AND open = 1 AND epoch = $2 AND ask = 1",
	               "is", s->num, span_of(epoch)));
	if (s->at_least_once)
		return store_exec(s->tx, e, "UPDATE calls SET epoch = NULL WHERE session = $1 AND open = 1 AND epoch = $2",
		                  "is", s->num, span_of(epoch));
	if (journal.len > 0) {
		int64_t until = s->now + ttl_s * 1000000 + CALLS_HOLD_GRACE_US;
		int64_t held = 0;
		TRY(store_exec_count(s->tx, e, &held,
		                     "UPDATE calls SET journal = $1, hold_until = $2"
		                     " WHERE session = $3 AND open = 1 AND kind = 0 AND epoch = $4",
		                     "siis", journal, until, s->num, span_of(epoch)));
		if (held > 0)
			effects_due(&s->op->fx, until);
		return OK;
	}
	struct open_calls calls = {NULL, 0};
	struct result r = store_query(s->tx, e, take_open, &calls,
	                              "SELECT id, kind FROM calls WHERE session = $1 AND open = 1 AND kind = 0 AND epoch = $2"
	                              " ORDER BY seq",
	                              "is", s->num, span_of(epoch));
	return close_each(s, r, &calls, UNKNOWN_TEXT, e);
}

struct result calls_hold_expired(struct session_tx *s, struct err *e)
{
	struct open_calls calls = {NULL, 0};
	struct result r =
	        store_query(s->tx, e, take_open, &calls,
	                    "SELECT id, kind FROM calls WHERE session = $1 AND open = 1 AND hold_until <= $2 ORDER BY seq",
	                    "ii", s->num, s->now);
	return close_each(s, r, &calls, UNKNOWN_TEXT, e);
}

struct result calls_expose(struct op *op, struct store_tx *tx, int64_t session_num, const char *session, int64_t from,
                           int64_t to, const char *epoch, struct err *e)
{
	struct open_calls calls = {NULL, 0};
	struct result r =
	        store_query(tx, e, take_open, &calls,
	                    "SELECT id, kind FROM calls WHERE session = $1 AND open = 1 AND kind < 2 AND epoch IS NULL"
	                    " AND seq BETWEEN $2 AND $3 ORDER BY seq",
	                    "iii", session_num, from, to);
	for (size_t i = 0; i < calls.n && !failed(r); i++) {
		struct record_note *n = op_note(op, AUDIT_ADMIN, "call.expose", session, calls.at[i].id);
		free(n->uid);
		n->uid = mem_printf("%s.exposed.%s", calls.at[i].id, epoch);
		r = store_exec(tx, e, "UPDATE calls SET epoch = $1 WHERE session = $2 AND id = $3", "sis", span_of(epoch),
		               session_num, span_of(calls.at[i].id));
	}
	free(calls.at);
	return r;
}

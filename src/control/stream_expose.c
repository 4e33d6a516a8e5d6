#include "control/stream_expose.h"

#include "base/mem.h"
#include "control/calls.h"

#define WAITING_MAX 4096

struct stream_expose { // the change under way; outlives its stream if it must
	struct stream *s;
	char session[ID_MAX];
	char epoch[EPOCH_MAX];
	char call[ID_MAX];
	int64_t seq;
	bool exposed;
};

static struct result expose(struct op *op, struct store_tx *tx, struct err *e)
{
	struct stream_expose *x = op->arg;
	struct session_tx s;
	TRY(session_tx_load(&s, op, tx, x->session, e));
	char live[EPOCH_MAX];
	TRY(work_tx_live_epoch(tx, s.num, live, e));
	bool mine = live[0] != '\0' && (strcmp(x->epoch, "*") == 0 || strcmp(x->epoch, live) == 0);
	if (mine)
		TRY(calls_expose(op, tx, s.num, s.id, x->seq, x->seq, live, e));
	struct call c;
	if (failed(calls_find(&s, span_of(x->call), &c, e)))
		return e->kind == ERR_INVALID ? OK : FAIL;
	x->exposed = c.open && (s.at_least_once || (mine && strcmp(c.epoch, live) == 0));
	return OK;
}

static void send_on(struct control *c, struct stream *s);

static void take_head(struct stream *s, bool send)
{
	struct stream_frame *f = &s->waiting[0];
	if (send)
		http_exchange_send(s->r->x, span_head(buf_span(&s->waiting_text), f->len));
	buf_consume(&s->waiting_text, f->len);
	memmove(f, f + 1, --s->n_waiting * sizeof(*f));
}

static void over(struct op *op)
{
	struct stream_expose *x = op->arg;
	if (x->s == NULL)
		return;
	struct stream *s = x->s;
	s->exposing = NULL;
	take_head(s, x->exposed);
	send_on(op->c, s);
}

static void end_now(void *arg)
{
	struct stream *s = arg;
	s->ending = NULL;
	stream_hub_end_stream(s);
}

// The worker could not be shown a call: it comes back and finds it in the history.
static void break_off(struct stream *s)
{
	if (s->ending == NULL)
		s->ending = loop_timer_start(s->loop, 0, end_now, s);
}

static void over_failed(struct op *op, const struct err *e)
{
	(void)e;
	struct stream_expose *x = op->arg;
	if (x->s == NULL)
		return;
	x->s->exposing = NULL;
	break_off(x->s);
}

static void send_on(struct control *c, struct stream *s)
{
	while (s->n_waiting > 0 && s->waiting[0].call[0] == '\0')
		take_head(s, true);
	if (s->n_waiting == 0)
		return;
	struct stream_expose *x = NEW(struct stream_expose);
	s->exposing = x;
	x->s = s;
	x->seq = s->waiting[0].seq;
	memcpy(x->session, s->session, ID_MAX);
	memcpy(x->epoch, s->epoch, EPOCH_MAX);
	memcpy(x->call, s->waiting[0].call, ID_MAX);
	struct op *op = op_new(c, NULL, expose);
	op->arg = x;
	op->release = free;
	op->published = over;
	op->refused = over_failed;
	op_submit(op);
}

void stream_expose_send(struct control *c, struct stream *s, const struct effects_event *ev, struct span frame)
{
	bool ask = false;
	if (s->ending != NULL)
		return;
	if (ev->for_worker && s->epoch[0] != '\0') {
		bool any = strcmp(s->epoch, "*") == 0;
		if (ev->exposed[0] != '\0' && !any && strcmp(ev->exposed, s->epoch) != 0)
			return; // another lease's
		ask = ev->exposed[0] == '\0';
	}
	if (!ask && s->n_waiting == 0) {
		http_exchange_send(s->r->x, frame);
		return;
	}
	if (s->n_waiting >= WAITING_MAX || !buf_add(&s->waiting_text, frame)) {
		break_off(s);
		return;
	}
	s->waiting = mem_grow(s->waiting, s->n_waiting + 1, sizeof(*s->waiting));
	struct stream_frame *f = &s->waiting[s->n_waiting++];
	memset(f, 0, sizeof(*f));
	f->len = frame.len;
	f->seq = ev->seq;
	if (ask)
		memcpy(f->call, ev->id, ID_MAX);
	if (s->exposing == NULL)
		send_on(c, s);
}

void stream_expose_drop(struct stream *s)
{
	if (s->exposing != NULL)
		s->exposing->s = NULL;
	loop_timer_cancel(&s->ending);
	free(s->waiting);
	buf_fini(&s->waiting_text);
}

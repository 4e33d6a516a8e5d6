#include "replay/play.h"

#include "base/mem.h"
#include "replay/reply.h"

struct play {
	struct loop *loop;
	struct http_exchange *x;
	struct loop_timer *timer;
	struct reply_frames frames;
	size_t next;   // frame
	size_t offset; // in it, when dripping
	uint64_t pace_us;
	const struct scenario_fault *fault;
};

static void play_free(struct play *p)
{
	loop_timer_cancel(&p->timer);
	reply_frames_fini(&p->frames);
	free(p);
}

static void gone(void *arg)
{
	play_free(arg);
}

static void end(struct play *p)
{
	http_exchange_end(p->x);
	play_free(p);
}

static void send_error_event(struct play *p)
{
	struct span type = p->fault->type.len > 0 ? p->fault->type : SPAN_LIT("overloaded_error");
	json_t *AUTO_JSON j = json_pack("{s:s, s:{s:s%, s:s}}", "type", "error", "error", "type", type.data, type.len,
	                                "message", "an error of the scenario");
	char *AUTO_FREE text = json_text(j, NULL);
	char *AUTO_FREE frame = mem_printf("event: error\ndata: %s\n\n", text);
	http_exchange_send(p->x, span_of(frame));
}

// Does what the fault says at its place. True when the answer goes on as if nothing had been.
static bool strike(struct play *p)
{
	switch (p->fault->deed) {
	case SCENARIO_STALL:
		return false; // until the client goes
	case SCENARIO_DROP:
		http_exchange_abort(p->x);
		play_free(p);
		return false;
	case SCENARIO_TRUNCATE:
		end(p);
		return false;
	case SCENARIO_ERROR:
		send_error_event(p);
		end(p);
		return false;
	default: {
		const char garbage[] = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":\xff\n\n";
		http_exchange_send(p->x, span_of(garbage));
		p->fault = NULL;
		return true;
	}
	}
}

static void go_on(void *arg);

static void later(struct play *p, uint64_t us)
{
	p->timer = loop_timer_start(p->loop, us / 1000, go_on, p);
}

// One piece of a dripping answer. False at its end.
static bool drip(struct play *p)
{
	struct span rest = span_skip(span_of(p->frames.frames[p->next]), p->offset);
	struct span piece = span_head(rest, p->fault->bytes);
	http_exchange_send(p->x, piece);
	p->offset += piece.len;
	if (piece.len == rest.len) {
		p->next++;
		p->offset = 0;
	}
	return p->next < p->frames.n;
}

static void go_on(void *arg)
{
	struct play *p = arg;
	p->timer = NULL;
	if (p->fault != NULL && p->fault->deed == SCENARIO_DRIP) {
		if (drip(p))
			later(p, p->fault->pause_us);
		else
			end(p);
		return;
	}
	for (;;) {
		if (p->fault != NULL && p->next >= p->fault->at && !strike(p))
			return;
		if (p->next == p->frames.n) {
			end(p);
			return;
		}
		http_exchange_send(p->x, span_of(p->frames.frames[p->next++]));
		if (p->pace_us > 0) {
			later(p, p->pace_us);
			return;
		}
	}
}

// A request that did not ask for a stream. Its faults: the connection is cut, or nothing comes, or half the message, or none.
static void answer_whole(struct play *p, const json_t *message)
{
	size_t len;
	char *AUTO_FREE text = json_text(message, &len);
	struct http_answer a = {.status = 200, .content_type = "application/json"};
	enum scenario_deed deed = p->fault == NULL ? SCENARIO_DRIP : p->fault->deed;
	if (deed == SCENARIO_STALL)
		return;
	if (deed == SCENARIO_DROP) {
		http_exchange_abort(p->x);
	} else {
		bool garbage = deed == SCENARIO_GARBAGE || deed == SCENARIO_ERROR;
		size_t sent = deed == SCENARIO_TRUNCATE ? len / 2 : len;
		http_exchange_answer(p->x, &a, garbage ? SPAN_LIT("{\"type\":\"message\",\xff") : (struct span){text, sent});
	}
	play_free(p);
}

void play_start(struct loop *l, struct http_exchange *x, const json_t *message, uint64_t pace_us,
                const struct scenario_fault *fault, bool stream)
{
	struct play *p = NEW(struct play);
	*p = (struct play){.loop = l, .x = x, .pace_us = pace_us, .fault = fault};
	http_exchange_on_gone(x, gone, p);
	if (!stream) {
		answer_whole(p, message);
		return;
	}
	reply_frames_make(message, &p->frames);
	struct http_answer a = {.status = 200, .content_type = "text/event-stream", .fields = "Cache-Control: no-cache\r\n"};
	http_exchange_stream(x, &a);
	later(p, 0);
}

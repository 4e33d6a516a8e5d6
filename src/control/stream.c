#include "control/stream.h"

#include "base/hash.h"
#include "base/mem.h"
#include "control/stream_expose.h"
#include "net/sse.h"

#define BUCKETS 1024
#define FRAME_MAX (64 * 1024 * 1024)

struct stream_hub {
	struct control *c;
	struct stream *buckets[BUCKETS]; // by session
	size_t n;
	struct loop_timer *keepalive;
};

static struct stream **bucket(const struct stream_hub *hub, const char *session)
{
	return (struct stream **)&hub->buckets[hash_text(session) % BUCKETS];
}

static void keep_alive(void *arg)
{
	struct stream_hub *hub = arg;
	hub->keepalive = loop_timer_start(hub->c->loop, STREAM_KEEPALIVE_MS, keep_alive, hub);
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct stream *s = hub->buckets[i]; s != NULL; s = s->next)
			http_exchange_send(s->r->x, SPAN_LIT(": keep-alive\n\n"));
	}
}

struct stream_hub *stream_hub_new(struct control *c)
{
	struct stream_hub *hub = NEW(struct stream_hub);
	hub->c = c;
	hub->keepalive = loop_timer_start(c->loop, STREAM_KEEPALIVE_MS, keep_alive, hub);
	return hub;
}

// Out of the hub, with all that waits for it; its request goes with it.
static void stream_remove(struct stream_hub *hub, struct stream *s)
{
	for (struct stream **p = bucket(hub, s->session); *p != NULL; p = &(*p)->next) {
		if (*p != s)
			continue;
		*p = s->next;
		break;
	}
	hub->n--;
	request_free(STEAL(s->r));
	stream_expose_drop(s);
	free(s);
}

static void client_gone(void *arg)
{
	struct stream *s = arg;
	stream_remove(s->hub, s);
}

static void stream_end(struct stream_hub *hub, struct stream *s)
{
	http_exchange_end(s->r->x);
	s->r->x = NULL;
	stream_remove(hub, s);
}

void stream_hub_end_stream(struct stream *s)
{
	stream_end(s->hub, s);
}

static void end_where(struct stream_hub *hub, bool (*wanted)(const struct stream *s, const char *id, int64_t n), const char *id,
                      int64_t n)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct stream *s = hub->buckets[i], *next; s != NULL; s = next) {
			next = s->next;
			if (wanted(s, id, n))
				stream_end(hub, s);
		}
	}
}

static bool is_of_lease(const struct stream *s, const char *work_id, int64_t epoch)
{
	return s->r->who.kind == AUTH_TOKEN && s->r->who.epoch <= epoch && strcmp(s->r->who.id, work_id) == 0;
}

void stream_hub_end_lease(struct stream_hub *hub, const char *work_id, int64_t epoch)
{
	end_where(hub, is_of_lease, work_id, epoch);
}

static bool is_of_session(const struct stream *s, const char *session, int64_t n)
{
	(void)n;
	return strcmp(s->session, session) == 0;
}

void stream_hub_end_session(struct stream_hub *hub, const char *session)
{
	end_where(hub, is_of_session, session, 0);
}

static bool is_of_key(const struct stream *s, const char *key_id, int64_t n)
{
	(void)n;
	return s->r->who.kind != AUTH_TOKEN && strcmp(s->r->who.id, key_id) == 0;
}

void stream_hub_end_key(struct stream_hub *hub, const char *key_id)
{
	end_where(hub, is_of_key, key_id, 0);
}

static bool is_any(const struct stream *s, const char *id, int64_t n)
{
	(void)s, (void)id, (void)n;
	return true;
}

void stream_hub_end_all(struct stream_hub *hub)
{
	end_where(hub, is_any, NULL, 0);
}

void stream_hub_free(struct stream_hub *hub)
{
	if (hub == NULL)
		return;
	BUG_ON(hub->n != 0);
	loop_timer_cancel(&hub->keepalive);
	free(hub);
}

void stream_hub_open(struct stream_hub *hub, struct request *r, const char *session, unsigned int previews)
{
	if (r->x == NULL) {
		request_free(r);
		return;
	}
	struct stream *s = NEW(struct stream);
	s->hub = hub;
	s->loop = hub->c->loop;
	s->r = r;
	s->previews = previews;
	strncpy(s->session, session, ID_MAX - 1);
	if (r->who.kind == AUTH_TOKEN)
		work_epoch(s->epoch, r->who.id, r->who.epoch);
	else if (r->who.kind == AUTH_ENVIRONMENT)
		memcpy(s->epoch, "*", 2);
	buf_init(&s->waiting_text, FRAME_MAX);
	r->gone = client_gone;
	r->gone_arg = s;
	struct stream **b = bucket(hub, session);
	s->next = *b;
	*b = s;
	hub->n++;
	AUTO_FREE char *fields = mem_printf("request-id: %s\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n", r->id);
	http_exchange_stream(r->x, &(struct http_answer){200, "text/event-stream", fields});
}

void stream_hub_publish(struct stream_hub *hub, const char *session, const struct effects_event *events, size_t n)
{
	struct stream *first = *bucket(hub, session);
	if (first == NULL)
		return;
	AUTO_BUF struct buf frame;
	buf_init(&frame, FRAME_MAX);
	for (size_t i = 0; i < n; i++) {
		buf_clear(&frame);
		if (!sse_encode(&frame, events[i].type, span_from(events[i].json, events[i].len)))
			continue;
		for (struct stream *s = first; s != NULL; s = s->next) {
			if (strcmp(s->session, session) == 0)
				stream_expose_send(hub->c, s, &events[i], buf_span(&frame));
		}
	}
}

void stream_hub_preview(struct stream_hub *hub, const char *session, const char *type, const char *name, struct span json)
{
	unsigned int wanted = strcmp(type, "agent.message") == 0 ? STREAM_PREVIEW_MESSAGE : STREAM_PREVIEW_THINKING;
	AUTO_BUF struct buf frame;
	buf_init(&frame, FRAME_MAX);
	for (struct stream *s = *bucket(hub, session); s != NULL; s = s->next) {
		if (!(s->previews & wanted) || strcmp(s->session, session) != 0)
			continue;
		if (buf_len(&frame) == 0 && !sse_encode(&frame, name, json))
			return;
		http_exchange_send(s->r->x, buf_span(&frame));
	}
}

void stream_hub_worker_epoch(const struct stream_hub *hub, const char *session, char out[EPOCH_MAX])
{
	out[0] = '\0';
	for (const struct stream *s = *bucket(hub, session); s != NULL; s = s->next) {
		if (s->epoch[0] == '\0' || strcmp(s->session, session) != 0)
			continue;
		memcpy(out, s->epoch, EPOCH_MAX);
		if (s->r->who.kind == AUTH_TOKEN)
			return;
	}
}

size_t stream_hub_count(const struct stream_hub *hub)
{
	return hub->n;
}

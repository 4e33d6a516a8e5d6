#include "recorder/publisher.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "recorder/intake.h"
#include "recorder/offload.h"

#define HURRY_BYTES (1u << 20) // waiting entries of this size are published at once
#define STATE_EVERY 4096       // entries between two savings of the writers' state

struct publisher {
	struct loop *loop;
	const char *dir;
	const struct note_signer *signer;
	struct offload *thread;
	struct loop_timer *timer;
	bool hurry;
	struct batch *waiting, **last; // in order
	size_t waiting_bytes;
	uint64_t size;
	void (*published)(void *arg, const struct err *e);
	void *arg;
	void (*drained)(void *arg);
	void *drained_arg;
	// The attempt under way; the thread's until it is done.
	struct tiler *tiler; // NULL: must be loaded again
	struct batch *taken;
	struct writers writers; // after the last entry in a checkpoint
	uint64_t saved;
	bool final;
	struct checkpoint out;
	bool failed;
	struct err why;
};

static void attempt(void *arg);
static void attempted(void *arg);

static void start_attempt(struct publisher *p)
{
	if (offload_busy(p->thread) || (p->waiting == NULL && p->taken == NULL && p->drained == NULL))
		return;
	loop_timer_cancel(&p->timer);
	p->hurry = false;
	// What an earlier attempt left comes first.
	struct batch **end = &p->taken;
	while (*end != NULL)
		end = &(*end)->next;
	*end = p->waiting;
	p->waiting = NULL;
	p->last = &p->waiting;
	p->waiting_bytes = 0;
	p->final = p->drained != NULL;
	p->failed = false;
	offload_run(p->thread, attempt, attempted, p);
}

static void timer_fired(void *arg)
{
	struct publisher *p = arg;
	p->timer = NULL;
	start_attempt(p);
}

static void arm(struct publisher *p, uint64_t ms)
{
	if (p->timer == NULL && !offload_busy(p->thread))
		p->timer = loop_timer_start(p->loop, ms, timer_fired, p);
}

static struct result add_batches(struct publisher *p, struct err *e)
{
	for (const struct batch *b = p->taken; b != NULL; b = b->next) {
		// Published already: the checkpoint was in its place when the last sync, of the directory, failed.
		if (tiler_size(p->tiler) >= b->first + b->n)
			continue;
		BUG_ON(tiler_size(p->tiler) != b->first);
		for (size_t i = 0; i < b->n; i++)
			TRY(tiler_add(p->tiler, b->entries[i].bytes, &b->entries[i].leaf, e));
	}
	return OK;
}

static struct result publish(struct publisher *p, struct err *e)
{
	if (p->tiler == NULL)
		TRY(tiler_load(p->dir, p->signer, &p->tiler, e));
	TRY(add_batches(p, e));
	return p->taken == NULL ? OK : tiler_publish(p->tiler, &p->out, e);
}

static void attempt(void *arg)
{
	struct publisher *p = arg;
	p->failed = failed(publish(p, &p->why));
	if (p->failed) {
		tiler_free(&p->tiler);
		return;
	}
	for (const struct batch *b = p->taken; b != NULL; b = b->next)
		p->writers = b->after;
	uint64_t size = tiler_size(p->tiler);
	if (size < p->saved + STATE_EVERY && !(p->final && size > p->saved))
		return;
	if (!failed(writers_save(&p->writers, p->dir, size, NULL)))
		p->saved = size;
}

static void attempted(void *arg)
{
	struct publisher *p = arg;
	if (p->failed) {
		log_error("checkpoint.failed", "problem=%s", LOG_Q(span_of(p->why.msg)));
	} else if (p->taken != NULL) {
		p->size = p->out.size;
		while (p->taken != NULL) {
			struct batch *b = p->taken;
			p->taken = b->next;
			batch_free(&b);
		}
		log_debug("checkpoint", "size=%" PRIu64, p->size);
	}
	if (p->final) {
		p->final = false;
		void (*done)(void *) = p->drained;
		p->drained = NULL;
		done(p->drained_arg);
		return;
	}
	p->published(p->arg, p->failed ? &p->why : NULL);
	if (p->drained != NULL || (p->hurry && !p->failed))
		start_attempt(p);
	else if (p->failed)
		arm(p, INTAKE_RETRY_MS);
	else if (p->waiting != NULL)
		arm(p, INTAKE_PUBLISH_MS);
}

void publisher_add(struct publisher *p, struct batch **b)
{
	struct batch *added = STEAL(*b);
	if (added->n == 0) {
		batch_free(&added);
		return;
	}
	*p->last = added;
	p->last = &added->next;
	p->waiting_bytes += buf_len(&added->bytes);
	if (p->waiting_bytes >= HURRY_BYTES)
		publisher_hurry(p);
	else
		arm(p, INTAKE_PUBLISH_MS);
}

void publisher_hurry(struct publisher *p)
{
	p->hurry = true;
	start_attempt(p);
}

void publisher_drain(struct publisher *p, void (*done)(void *arg), void *arg)
{
	p->drained = done;
	p->drained_arg = arg;
	start_attempt(p);
}

uint64_t publisher_size(const struct publisher *p)
{
	return p->size;
}

struct publisher *publisher_start(struct loop *l, const char *dir, const struct note_signer *signer, struct tiler *tiler,
                                  void (*published)(void *arg, const struct err *e), void *arg)
{
	struct publisher *p = NEW(struct publisher);
	p->loop = l;
	p->dir = dir;
	p->signer = signer;
	p->tiler = tiler;
	p->size = tiler_size(tiler);
	p->saved = p->size;
	p->last = &p->waiting;
	p->published = published;
	p->arg = arg;
	p->thread = offload_start(l);
	return p;
}

static void free_batches(struct batch *b)
{
	while (b != NULL) {
		struct batch *next = b->next;
		batch_free(&b);
		b = next;
	}
}

void publisher_stop(struct publisher **p)
{
	if (*p == NULL)
		return;
	loop_timer_cancel(&(*p)->timer);
	offload_stop(&(*p)->thread);
	free_batches((*p)->waiting);
	free_batches((*p)->taken);
	tiler_free(&(*p)->tiler);
	free(*p);
	*p = NULL;
}

#include "recorder/intake.h"

#include <inttypes.h>
#include <limits.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "recorder/offload.h"
#include "recorder/publisher.h"

struct intake {
	struct intake_opts o;
	struct offload *journal;
	struct publisher *publisher;
	struct batch *open;    // being filled
	struct batch *writing; // being written, or NULL
	uint64_t next;         // index of the next entry
	uint64_t durable;      // entries on disk
	bool waits_for_room;   // the journal is full until a checkpoint covers what it holds
	struct err problem;    // the last write's, ERR_NONE when it went well
	char boot_id[40];
	void (*drained)(void *arg);
	void *drained_arg;
};

static void read_boot_id(char out[40])
{
	AUTO_BUF struct buf text;
	buf_init(&text, 64);
	if (failed(file_read("/proc/sys/kernel/random/boot_id", &text, NULL)))
		BUG_ON(!buf_add_str(&text, "unknown"));
	snprintf(out, 40, "%.*s", SPAN_FMT(span_head(buf_span(&text), 36)));
}

struct result intake_session_key(struct intake *in, struct span session, unsigned char key[HASH_LEN], struct err *e)
{
	struct sidecar_key *k;
	TRY(sidecar_get(in->o.sidecar, session, &k, e));
	if (!k->stored)
		batch_add_key(in->open, k);
	memcpy(key, k->key, HASH_LEN);
	return OK;
}

// The key was listed for the disk when the payload began to come in; if that write failed since, it is listed again.
static struct result require_key(struct intake *in, const struct audit_entry *a, const struct entry_stamp *s, struct err *e)
{
	unsigned char key[HASH_LEN];
	if (s->arguments.len == 0 && s->result.len == 0)
		return OK;
	TRY(intake_session_key(in, a->session, key, e));
	mem_wipe(key, sizeof(key));
	return OK;
}

// The same uid came before: it is acknowledged with the first one, if it says the same.
static struct result take_again(struct intake *in, struct caller *caller, uint64_t id, const struct seen_entry *before,
                                uint64_t fingerprint, struct err *e)
{
	if (before->fingerprint != fingerprint)
		return err_set(e, ERR_CONFLICT, "an entry with this uid and other content is in the log already, at %" PRIu64,
		               before->index);
	batch_add_waiter(in->open, caller, id, before->index);
	return OK;
}

struct result intake_take(struct intake *in, const struct intake_from *from, struct caller *caller, uint64_t id,
                          const struct audit_entry *a, const struct entry_payload *arguments,
                          const struct entry_payload *result, struct err *e)
{
	BUG_ON(intake_full(in));
	if (in->waits_for_room && in->problem.kind != ERR_NONE)
		return err_set(e, in->problem.kind, "%s", in->problem.msg);
	char name[ENTRY_WRITER_MAX];
	writers_name(span_of(from->role), from->uid, name);
	struct writer *w = writers_get(&in->o.writers, name);
	if (w == NULL)
		return err_set(e, ERR_CONFLICT, "the log has %d writers already", WRITERS_MAX);
	struct entry_stamp stamp = {
	        .writer = w->name,
	        .seq = w->seq + 1,
	        .prev = w->seq == 0 ? NULL : &w->last,
	        .role = from->role,
	        .pid = from->pid,
	        .boot_id = in->boot_id,
	        .time_ms = clock_utc_us() / 1000,
	        .arguments = *arguments,
	        .result = *result,
	};
	uint64_t fingerprint = seen_fingerprint(a, &stamp);
	const struct seen_entry *before = seen_find(&in->o.seen, span_of(w->name), a->uid);
	if (before != NULL)
		return take_again(in, caller, id, before, fingerprint, e);
	TRY(require_key(in, a, &stamp, e));
	size_t at = buf_len(&in->open->bytes);
	TRY(entry_write(a, &stamp, &in->open->bytes, e));
	struct span bytes = span_skip(buf_span(&in->open->bytes), at);
	w->seq++;
	w->last = hash_sha256(bytes);
	seen_add(&in->o.seen, span_of(w->name), a->uid, in->next, fingerprint);
	batch_added(in->open, bytes.len);
	batch_add_waiter(in->open, caller, id, in->next++);
	return OK;
}

bool intake_full(const struct intake *in)
{
	return batch_full(in->open);
}

static void answer_all(struct intake *in, const struct batch *b, const struct err *e)
{
	for (size_t i = 0; i < b->n_waiters; i++) {
		const struct batch_waiter *w = &b->waiters[i];
		if (w->caller != NULL)
			in->o.answered(w->caller, w->id, w->index, e);
	}
}

// Nothing of the batch counts, nor of what was stamped after it: the log goes on as if they had never come.
static void refuse_from(struct intake *in, struct batch *failed_batch, const struct err *why)
{
	struct batch *open = in->open;
	in->problem = *why;
	in->o.writers = failed_batch->before;
	in->next = failed_batch->first;
	seen_take_back(&in->o.seen, in->next);
	in->open = batch_new(in->next, &in->o.writers);
	answer_all(in, failed_batch, why);
	if (open != failed_batch)
		answer_all(in, open, why);
	batch_free(&open);
}

static void write_batch(void *arg)
{
	struct intake *in = arg;
	struct batch *b = in->writing;
	for (size_t i = 0; i < b->n_keys && !b->failed; i++)
		b->failed = failed(sidecar_store(in->o.dir, &b->keys[i], &b->why));
	if (!b->failed && b->n > 0)
		b->failed = failed(segments_write(in->o.segments, b->first, b->entries, b->n, &b->why));
}

static void maybe_drained(struct intake *in)
{
	if (in->drained == NULL || in->writing != NULL || in->open->n_waiters > 0)
		return; // not yet
	void (*drained)(void *) = in->drained;
	in->drained = NULL;
	publisher_drain(in->publisher, drained, in->drained_arg);
}

static void batch_written(void *arg)
{
	struct intake *in = arg;
	struct batch *b = STEAL(in->writing);
	if (b->failed) {
		log_error("record.refused", "entries=%zu problem=%s", b->n + in->open->n, LOG_Q(span_of(b->why.msg)));
		refuse_from(in, b, &b->why);
		batch_free(&b);
	} else {
		if (in->problem.kind != ERR_NONE)
			log_info("record.again", "entries=%zu", b->n);
		in->problem = (struct err){0};
		for (size_t i = 0; i < b->n_keys; i++)
			sidecar_stored(in->o.sidecar, &b->keys[i]);
		in->durable = b->first + b->n;
		answer_all(in, b, NULL);
		publisher_add(in->publisher, &b);
	}
	intake_flush(in);
	in->o.settled(in->o.settled_arg);
	maybe_drained(in);
}

void intake_flush(struct intake *in)
{
	if (in->writing != NULL || (in->open->n_waiters == 0 && in->open->n_keys == 0))
		return;
	in->waits_for_room =
	        !segments_have_room(in->o.segments, in->open->n, buf_len(&in->open->bytes), publisher_size(in->publisher));
	if (in->waits_for_room) {
		publisher_hurry(in->publisher);
		return;
	}
	in->writing = in->open;
	in->open = batch_new(in->next, &in->o.writers);
	batch_seal(in->writing, &in->o.writers);
	offload_run(in->journal, write_batch, batch_written, in);
}

// The publisher tells that a checkpoint is out, or why not.
static void published(void *arg, const struct err *e)
{
	struct intake *in = arg;
	if (e != NULL && in->waits_for_room) {
		// The journal is full and can't be emptied: refuse rather than wait without end.
		refuse_from(in, in->open, e);
	} else if (e == NULL && in->waits_for_room) {
		in->waits_for_room = false;
		intake_flush(in);
	}
	in->o.settled(in->o.settled_arg);
	maybe_drained(in);
}

void intake_forget(struct intake *in, struct caller *caller)
{
	struct batch *const batches[] = {in->open, in->writing};
	for (size_t k = 0; k < ARRAY_LEN(batches); k++) {
		for (size_t i = 0; batches[k] != NULL && i < batches[k]->n_waiters; i++) {
			if (batches[k]->waiters[i].caller == caller)
				batches[k]->waiters[i].caller = NULL;
		}
	}
}

void intake_drain(struct intake *in, void (*drained)(void *arg), void *arg)
{
	in->drained = drained;
	in->drained_arg = arg;
	intake_flush(in);
	maybe_drained(in);
}

struct intake *intake_start(struct loop *l, struct intake_opts *opts)
{
	struct intake *in = NEW(struct intake);
	in->o = *opts;
	in->next = in->durable = tiler_size(opts->tiler);
	in->open = batch_new(in->next, &in->o.writers);
	in->journal = offload_start(l);
	in->publisher = publisher_start(l, opts->dir, opts->signer, opts->tiler, published, in);
	read_boot_id(in->boot_id);
	return in;
}

void intake_stop(struct intake **in)
{
	if (*in == NULL)
		return;
	offload_stop(&(*in)->journal);
	publisher_stop(&(*in)->publisher);
	batch_free(&(*in)->open);
	batch_free(&(*in)->writing);
	segments_close(&(*in)->o.segments);
	sidecar_close(&(*in)->o.sidecar);
	seen_fini(&(*in)->o.seen);
	free(*in);
	*in = NULL;
}

void intake_tell(const struct intake *in, struct intake_state *out)
{
	*out = (struct intake_state){.entries = in->durable,
	                             .published = publisher_size(in->publisher),
	                             .writing_fails = in->problem.kind != ERR_NONE};
	snprintf(out->problem, sizeof(out->problem), "%s", in->problem.kind == ERR_NONE ? "" : in->problem.msg);
}

#include "recorder/recorder.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/admin.h"
#include "recorder/desk.h"
#include "recorder/intake.h"
#include "recorder/recovery.h"
#include "sandbox/lockdown.h"

#define SEGMENT_SIZE (4u << 20)

struct recorder {
	const struct config *config;
	struct loop *loop;
	struct note_signer signer;
	struct segments *segments;
	struct sidecar *sidecar;
	struct recovery recovered;
	struct desk *desk;
	struct intake *intake;
	struct admin_server *admin;
	struct loop_signal *term, *interrupt;
	bool stopping;
	struct result (*ready)(void *arg, const char *address, struct err *e); // NULL once it was called
	void *ready_arg;
	uint64_t began; // entries in the log when we began
	struct result outcome;
	struct err *why;
};

// An entry of the recorder's own, about itself.
static struct result record_self(struct recorder *r, const char *operation, const char *reason, struct err *e)
{
	char uid[ID_MAX];
	id_make(uid, "rec");
	const struct audit_entry a = {.phase = AUDIT_ADMIN,
	                              .uid = span_of(uid),
	                              .operation = span_of(operation),
	                              .object = span_of(r->signer.v.name),
	                              .reason = span_of(reason)};
	const struct intake_from from = {"recorder", geteuid(), getpid()};
	const struct entry_payload none = {0};
	if (intake_full(r->intake))
		return OK; // others' entries come first
	return intake_take(r->intake, &from, NULL, 0, &a, &none, &none, e);
}

static void drained(void *arg)
{
	struct recorder *r = arg;
	loop_stop(r->loop);
}

static void asked_to_stop(void *arg)
{
	struct recorder *r = arg;
	if (r->stopping)
		return;
	r->stopping = true;
	desk_close(r->desk);
	struct err e;
	if (failed(record_self(r, "recorder.stop", "", &e)))
		log_warn("recorder.stop", "problem=%s", LOG_Q(span_of(e.msg)));
	intake_drain(r->intake, drained, r);
}

// After each write. The first that succeeds makes it true that we are ready.
static void settled(void *arg)
{
	struct recorder *r = arg;
	struct intake_state s;
	intake_tell(r->intake, &s);
	if (r->ready != NULL && s.entries > r->began) {
		AUTO_FREE char *address = config_socket(r->config, "recorder");
		r->outcome = r->ready(r->ready_arg, address, r->why);
		r->ready = NULL;
		if (failed(r->outcome))
			asked_to_stop(r);
	}
	desk_settled(r->desk);
}

static void answer_admin(void *arg, struct admin_request *request, struct span verb, const json_t *whole)
{
	struct recorder *r = arg;
	struct intake_state s;
	(void)whole;
	if (!span_is(verb, "ps") && !span_is(verb, "ready")) {
		admin_refuse(request, "the recorder answers ps and ready");
		return;
	}
	intake_tell(r->intake, &s);
	admin_answer(request, json_pack("{s:b, s:s, s:i, s:s, s:I, s:I, s:I, s:b, s:s}", "ok", 1, "role", "recorder", "pid",
	                                (int)getpid(), "origin", r->signer.v.name, "entries", (json_int_t)s.entries,
	                                "published", (json_int_t)s.published, "callers", (json_int_t)desk_callers(r->desk),
	                                "writing_fails", s.writing_fails, "problem", s.problem));
}

// What others need to verify the log stands beside it: the key for our own verifier, and as PEM for openssl. A log that was
// begun with another key is refused.
static struct result place_public_key(const struct recorder *r, struct err *e)
{
	char vkey[NOTE_VKEY_MAX], path[PATH_MAX], text[NOTE_VKEY_MAX + 1];
	AUTO_BUF struct buf there;
	struct err read;
	buf_init(&there, NOTE_VKEY_MAX + 1);
	note_vkey_format(&r->signer.v, vkey);
	int n = snprintf(text, sizeof(text), "%s\n", vkey);
	snprintf(path, sizeof(path), "%s/log.vkey", r->config->audit.dir);
	if (failed(file_read(path, &there, &read)))
		return read.kind == ERR_NOT_FOUND ? file_create(path, span_from(text, (size_t)n), 0600, e)
		                                  : err_set(e, read.kind, "%s", read.msg);
	if (!span_eq(buf_span(&there), span_from(text, (size_t)n)))
		return err_set(e, ERR_CONFLICT,
		               "%s was begun with another key or origin (its log.vkey is not that of %s); restore the key, or "
		               "move the directory aside to begin a new log",
		               r->config->audit.dir, r->config->audit.key_file);
	return OK;
}

static struct result take_up(struct recorder *r, struct err *e)
{
	const char *dir = r->config->audit.dir;
	TRY(note_signer_load(&r->signer, span_of(r->config->audit.origin), r->config->audit.key_file, e));
	TRY(file_mkdirs(dir, 0700, e));
	TRY(segments_open(dir, SEGMENT_SIZE, &r->segments, e)); // from here on the directory is ours alone
	TRY(file_remove_leftovers(dir, e));
	TRY(place_public_key(r, e));
	TRY(sidecar_open(dir, &r->sidecar, e));
	return recovery_run(dir, &r->signer, r->segments, &r->recovered, e);
}

static struct result bind_sockets(struct recorder *r, struct err *e)
{
	AUTO_FREE char *run = mem_printf("%s/run", r->config->data_dir);
	AUTO_FREE char *path = config_socket(r->config, "recorder");
	AUTO_FREE char *admin = config_socket(r->config, "recorder-admin");
	TRY(file_mkdirs(run, 0700, e));
	TRY(desk_start(r->loop, path, r->config->audit.origin, &r->desk, e));
	return admin_server_start(r->loop, admin, answer_admin, r, &r->admin, e);
}

static struct result lock_down(const struct recorder *r, struct err *e)
{
	AUTO_FREE char *run = mem_printf("%s/run", r->config->data_dir);
	const char *const writable[] = {r->config->audit.dir, run, NULL};
	const struct lockdown_opts opts = {.writable = writable, .network = false};
	return lockdown_apply(&opts, NULL, e);
}

static struct result begin(struct recorder *r, struct err *e)
{
	struct recovery *rec = &r->recovered;
	char reason[160] = "";
	if (rec->from_journal > 0 || rec->torn)
		snprintf(reason, sizeof(reason), "took up %" PRIu64 " entries from the journal%s", rec->from_journal,
		         rec->torn ? "; a record that a crash had cut off, and nobody had been told of, was dropped" : "");
	struct intake_opts opts = {.dir = r->config->audit.dir,
	                           .signer = &r->signer,
	                           .segments = r->segments,
	                           .sidecar = r->sidecar,
	                           .tiler = rec->tiler,
	                           .writers = rec->writers,
	                           .seen = rec->seen,
	                           .answered = desk_answered,
	                           .settled = settled,
	                           .settled_arg = r};
	r->began = tiler_size(opts.tiler);
	log_info("recorder.start", "origin=%s size=%" PRIu64 " from_journal=%" PRIu64 " torn=%d", r->signer.v.name,
	         tiler_size(opts.tiler), rec->from_journal, rec->torn);
	r->intake = intake_start(r->loop, &opts);
	// These are the intake's now.
	r->segments = NULL;
	r->sidecar = NULL;
	rec->tiler = NULL;
	TRY(record_self(r, "recorder.start", reason, e));
	desk_serve(r->desk, r->intake);
	intake_flush(r->intake);
	return OK;
}

static struct result start(struct recorder *r, struct err *e)
{
	TRY(lockdown_harden(e));
	signal(SIGPIPE, SIG_IGN); // whoever read our log lines may go away
	TRY(loop_new(&r->loop, e));
	r->term = loop_signal_start(r->loop, SIGTERM, asked_to_stop, r);
	r->interrupt = loop_signal_start(r->loop, SIGINT, asked_to_stop, r);
	TRY(take_up(r, e)); // with the log locked: nobody else gets as far as the sockets
	TRY(bind_sockets(r, e));
	TRY(lock_down(r, e)); // before the first thread, for which Landlock would not hold
	return begin(r, e);
}

struct result recorder_run(const struct config *c, struct result (*ready)(void *arg, const char *address, struct err *e),
                           void *arg, struct err *e)
{
	struct recorder r = {.config = c, .ready = ready, .ready_arg = arg, .why = e};
	r.outcome = start(&r, e);
	if (!failed(r.outcome))
		loop_run(r.loop);
	admin_server_stop(&r.admin);
	desk_stop(&r.desk);
	intake_stop(&r.intake);
	segments_close(&r.segments);
	sidecar_close(&r.sidecar);
	tiler_free(&r.recovered.tiler);
	note_signer_fini(&r.signer);
	loop_signal_cancel(&r.term);
	loop_signal_cancel(&r.interrupt);
	if (r.loop != NULL)
		loop_free(r.loop);
	return r.outcome;
}

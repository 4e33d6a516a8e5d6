#include <stdio.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "provider/local.h"
#include "worker/room_state.h"
#include "worker/trail.h"

#define RETRY_MS 250
#define OPENS_MAX 3
#define CHANNEL "tools"

static void arm_keep(struct room *x);

struct rooms *rooms_new(const struct rooms_opts *opts)
{
	struct rooms *b = NEW(struct rooms);
	b->o = *opts;
	return b;
}

void room_close(struct room *x)
{
	loop_fd_cancel(&x->watch);
	fd_close(&x->channel);
}

static void room_free(struct room *x)
{
	room_close(x);
	audit_cancel(&x->recording);
	audit_cancel(&x->recorded);
	audit_cancel(&x->removing);
	loop_timer_cancel(&x->retry);
	loop_timer_cancel(&x->keep);
	room_call_fini(x);
	json_decref(x->forget);
	if (x->program != NULL)
		x->program->x = NULL; // freed when its end is told, or with the rooms
	free(x->session);
	free(x);
}

void rooms_free(struct rooms *b)
{
	while (b != NULL && b->first != NULL) {
		struct room *x = b->first;
		b->first = x->next;
		room_free(x);
	}
	for (struct room_program *p = b == NULL ? NULL : b->programs, *next; p != NULL; p = next) {
		next = p->next;
		free(p);
	}
	free(b);
}

// What nobody holds and has no sandbox needs no room.
void room_drop_unused(struct room *x)
{
	struct room **at = &x->owner->first;
	if (x->holders > 0 || x->state != ROOM_COLD || x->op.active || x->removing != NULL)
		return;
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	room_free(x);
}

struct room *room_hold(struct rooms *b, const char *session)
{
	struct room *x = b->first;
	while (x != NULL && strcmp(x->session, session) != 0)
		x = x->next;
	if (x == NULL) {
		x = NEW(struct room);
		x->owner = b;
		x->session = mem_strdup(session);
		x->channel = -1;
		x->forget = json_array();
		x->next = b->first;
		b->first = x;
	}
	x->holders++;
	loop_timer_cancel(&x->keep);
	return x;
}

void room_release(struct room **room)
{
	struct room *x = *room;
	if (x == NULL)
		return;
	*room = NULL;
	BUG_ON(x->holders == 0);
	x->holders--;
	arm_keep(x);
	room_drop_unused(x);
}

static void kept_long_enough(void *arg)
{
	struct room *x = arg;
	x->keep = NULL;
	if (x->op.active)
		arm_keep(x);
	else
		room_end(x, false, NULL, NULL);
}

static void arm_keep(struct room *x)
{
	loop_timer_cancel(&x->keep);
	if (x->holders == 0 && x->state != ROOM_COLD)
		x->keep = loop_timer_start(x->owner->o.loop, x->owner->o.keep_ms, kept_long_enough, x);
}

// --- opening

static void recorded(void *arg, const struct err *e)
{
	struct room *x = arg;
	x->recorded = NULL;
	if (e != NULL)
		log_warn("worker.outcome_unrecorded", "session=%s sandbox=%s error=%s", x->session, x->name,
		         LOG_Q(span_of(e->msg)));
}

static void record_outcome(struct room *x, const char *reason)
{
	AUTO_JSON json_t *where = NULL;
	AUTO_FREE char *text = NULL;
	if (x->sandbox != NULL)
		where = x->owner->o.place->ops->where(x->owner->o.place, x->sandbox);
	if (where != NULL)
		text = json_text(where, NULL);
	audit_cancel(&x->recorded);
	x->recorded = trail_sandbox(x->owner->o.audit, AUDIT_OUTCOME, x->session, x->name, reason, span_of(text), recorded, x);
}

static void retry_open(void *arg)
{
	struct room *x = arg;
	x->retry = NULL;
	if (x->op.active)
		room_open(x);
}

// The sandbox of an earlier spawner may still be ending: then making it anew is refused for a moment.
static void open_failed(struct room *x, const char *what, const struct err *e)
{
	log_warn("worker.sandbox_failed", "session=%s what=\"%s\" error=%s", x->session, what, LOG_Q(span_of(e->msg)));
	x->state = ROOM_COLD;
	if (!x->op.active)
		return;
	if (x->op.collect || (e->kind == ERR_CONFLICT && clock_mono_ms() - x->op.began_ms < 15000))
		x->retry = loop_timer_start(x->owner->o.loop, RETRY_MS, retry_open, x);
	else
		room_call_refuse(x, "The action did not run: %s: %s", what, e->msg);
}

static void program_ended(void *arg, int code, int status, const struct err *e)
{
	struct room_program *p = arg;
	struct room *x = p->x;
	bool current = x != NULL && x->program == p;
	struct room_program **at = &p->owner->programs;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
	if (!current)
		return;
	x->program = NULL;
	log_info("worker.tools_ended", "session=%s code=%d status=%d error=%s", x->session, code, status,
	         e == NULL ? "-" : LOG_Q(span_of(e->msg)));
	if (x->state == ROOM_OPEN || x->state == ROOM_ATTACHING)
		room_broken(x, e == NULL ? "the tools program ended" : e->msg);
}

static void attached(void *arg, int fd, const struct err *e);

static struct result start_program(struct room *x, struct err *e)
{
	static const char *const argv[] = {"tools", "/workspace", "no-network", NULL};
	static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/workspace", "LANG=C.UTF-8", "TERM=dumb",
	                                  NULL};
	struct provider *place = x->owner->o.place;
	AUTO_FD int program = -1;
	TRY(tools_program_fd(&program, e));
	const struct provider_exec_opts opts = {.argv = argv,
	                                        .program_fd = program,
	                                        .env = env,
	                                        .stdin_fd = -1,
	                                        .stdout_fd = -1,
	                                        .stderr_fd = -1,
	                                        .channel = CHANNEL};
	x->program = NEW(struct room_program);
	*x->program = (struct room_program){.x = x, .owner = x->owner, .next = x->owner->programs};
	x->owner->programs = x->program;
	place->ops->exec(place, x->sandbox, &opts, program_ended, x->program);
	place->ops->attach(place, x->sandbox, CHANNEL, attached, x);
	return OK;
}

static void attached(void *arg, int fd, const struct err *e)
{
	struct room *x = arg;
	struct err why;
	AUTO_FD int channel = fd;
	if (x->state != ROOM_ATTACHING)
		return;
	if (e != NULL && e->kind == ERR_NOT_FOUND && x->program == NULL) {
		if (failed(start_program(x, &why)))
			room_broken(x, why.msg);
		return;
	}
	if (e != NULL) {
		room_broken(x, e->msg);
		return;
	}
	if (failed(fd_set_nonblock(channel, &why))) {
		room_broken(x, why.msg);
		return;
	}
	x->channel = STEAL_FD(channel);
	x->state = ROOM_OPEN;
	x->watch = loop_fd_start(x->owner->o.loop, x->channel, EPOLLIN, room_call_ready, x);
	arm_keep(x);
	room_call_flush(x);
}

static void made(void *arg, struct provider_sandbox *sb, bool found, const struct err *e)
{
	struct room *x = arg;
	struct err why;
	x->sandbox = sb;
	record_outcome(x, e == NULL ? NULL : e->msg);
	if (e != NULL) {
		open_failed(x, "its sandbox could not be made", e);
		return;
	}
	log_info("worker.sandbox", "session=%s found=%d network=none", x->session, found);
	x->state = ROOM_ATTACHING;
	if (found)
		x->owner->o.place->ops->attach(x->owner->o.place, sb, CHANNEL, attached, x);
	else if (failed(start_program(x, &why)))
		room_broken(x, why.msg);
}

static void intent_recorded(void *arg, const struct err *e)
{
	struct room *x = arg;
	x->recording = NULL;
	if (e != NULL) {
		open_failed(x, "making its sandbox could not be recorded in the audit log", e);
		return;
	}
	x->state = ROOM_MAKING;
	x->owner->o.place->ops->create(x->owner->o.place, x->session, made, x);
}

void room_open(struct room *x)
{
	struct err e;
	bool dead = false;
	if (x->state == ROOM_OPEN) {
		room_call_flush(x);
		return;
	}
	if (x->state != ROOM_COLD || x->retry != NULL)
		return; // what is under way leads here again
	if (x->op.collect) {
		if (!failed(provider_local_session_is_dead(x->owner->o.data_dir, x->session, &dead, &e)) && dead) {
			room_call_lost(x, "its sandbox has ended");
			return;
		}
	} else if (x->op.opened++ >= OPENS_MAX) {
		room_call_refuse(x, "The action did not run: its sandbox ended again and again before it could be started.");
		return;
	}
	id_make(x->name, "sbx");
	x->state = ROOM_RECORDING;
	x->recording =
	        trail_sandbox(x->owner->o.audit, AUDIT_INTENT, x->session, x->name, NULL, (struct span){0}, intent_recorded, x);
}

json_t *rooms_json(const struct rooms *b)
{
	static const char *const states[] = {"none", "recording", "making", "starting", "running", "ending"};
	json_t *all = json_array();
	for (const struct room *x = b->first; x != NULL; x = x->next) {
		if (x->state == ROOM_COLD && !x->op.active)
			continue;
		json_t *j = json_object();
		json_object_set_new(j, "session", json_string(x->session));
		json_object_set_new(j, "state", json_string(states[x->state]));
		if (x->sandbox != NULL)
			json_object_set_new(j, "where", b->o.place->ops->where(b->o.place, x->sandbox));
		if (x->op.active) {
			json_object_set_new(j, "call", json_string(x->op.id));
			json_object_set_new(j, "tool", json_string(x->op.name));
			json_object_set_new(j, "running_ms", json_integer((json_int_t)(clock_mono_ms() - x->op.began_ms)));
		}
		json_array_append_new(all, j);
	}
	return all;
}

#include "sandbox/box.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "sandbox/plan.h"
#include "sandbox/session.h"

#define OLD_ONE_MS 10000 // how long an older sandbox of the same session may take to die
#define RETRY_MS 10

struct box *box_find(struct boxes *b, const char *session)
{
	struct box *x = b->first;
	while (x != NULL && strcmp(x->session, session) != 0)
		x = x->next;
	return x;
}

static void wait_add(struct box_wait **list, uint64_t client, uint32_t id, bool found)
{
	struct box_wait *w = NEW(struct box_wait);
	*w = (struct box_wait){*list, client, id, found};
	*list = w;
}

static void wait_answer(struct boxes *b, struct box_wait **list, const struct err *e)
{
	while (*list != NULL) {
		struct box_wait *w = *list;
		*list = w->next;
		boxes_answer(b, w->client, w->id, e, w->found, -1);
		free(w);
	}
}

static void box_free(struct box *x)
{
	struct box **p = &x->all->first;
	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	if (x->all->closing && x->all->first == NULL)
		loop_stop(x->all->loop);
	loop_timer_cancel(&x->retry);
	loop_child_cancel(&x->remover);
	free(x);
}

// A pair of ids that no session on this machine's disk and no sandbox here has: 2n-1 is the init's, 2n the tools'. Chosen at
// random, so that two workers that share a range hardly ever meet.
static struct result pick_id(const struct boxes *b, uint32_t *tools_id, struct err *e)
{
	uint32_t pairs = b->ids.count / 2;
	for (int i = 0; i < 1000; i++) {
		uint32_t id = 2 * (1 + (uint32_t)random_below(pairs));
		bool taken = session_owner_exists(b->sessions, id);
		for (const struct box *x = b->first; x != NULL && !taken; x = x->next)
			taken = x->tools_id == id;
		if (!taken) {
			*tools_id = id;
			return OK;
		}
	}
	return err_set(
	        e, ERR_TOO_LARGE,
	        "the range of %u subordinate ids is used up by sessions' workspaces: end sessions, or get a larger range",
	        b->ids.count);
}

static void ready(void *arg, const struct err *e)
{
	struct box *x = arg;
	x->ready = e == NULL;
	wait_answer(x->all, &x->creating, e);
}

static void exited(void *arg, uint64_t client, uint32_t id, int code, int status, const struct err *e)
{
	struct box *x = arg;
	boxes_exited(x->all, client, id, code, status, e);
}

static void finish(struct box *x, const struct err *e)
{
	wait_answer(x->all, &x->killing, e);
	box_free(x);
}

static void removed(void *arg, int code, int status)
{
	struct box *x = arg;
	struct err e;
	x->remover = NULL;
	bool ok = code == CLD_EXITED && status == 0;
	(void)err_set(&e, ERR_SYSTEM, "the files of session %s could not all be removed", x->session);
	finish(x, ok ? NULL : &e);
}

// In a process of its own: a workspace may be huge.
static void remove_files(struct box *x)
{
	struct err e;
	pid_t pid = fork();
	if (pid == 0) {
		bool ok = !failed(session_remove(x->all->sessions, x->session, &e));
		if (!ok)
			log_warn("session.remove", "session=%s error=%s", x->session, LOG_Q(span_of(e.msg)));
		_exit(ok ? 0 : 1);
	}
	if (pid < 0) {
		(void)err_sys(&e, "fork");
		finish(x, &e);
		return;
	}
	x->remover = loop_child_start(x->all->loop, pid, removed, x);
}

static void ended(void *arg)
{
	struct box *x = arg;
	sandbox_free(x->sandbox);
	x->sandbox = NULL;
	x->ready = false;
	if (x->remove)
		remove_files(x);
	else
		finish(x, NULL);
}

static const struct sandbox_events events = {ready, exited, ended};

static struct result launch(struct box *x, struct session *files, struct err *e)
{
	struct boxes *b = x->all;
	char path[100];
	AUTO_FD int workspace = -1;
	AUTO_FD int pts = -1;
	bool ranged = b->ids.count > 0;
	if (b->has_workspace) {
		files->tools_id = b->workspace.tools_id;
	} else if (ranged && (files->tools_id == 0 || files->tools_id > b->ids.count)) {
		TRY(pick_id(b, &files->tools_id, e));
		TRY(session_own(b->sessions, x->session, files->tools_id, e));
	}
	x->tools_id = files->tools_id;
	snprintf(path, sizeof(path), "/sessions/%s/workspace", x->session);
	TRY(stage_clone(b->has_workspace ? "/given" : path, &workspace, e));
	TRY(stage_pts(&pts, e));
	struct sandbox_opts opts = {.session = x->session,
	                            .image = b->image,
	                            .plan = buf_span(&b->plan),
	                            .ranged = ranged,
	                            .setgroups = b->ids.setgroups,
	                            .init_id = files->tools_id - 1,
	                            .tools_id = files->tools_id,
	                            .lock = files->lock,
	                            .workspace = workspace,
	                            .pts = pts,
	                            .cgroup = &b->cgroup};
	return sandbox_start(b->loop, &opts, &events, x, &x->sandbox, e);
}

static void attempt(void *arg)
{
	struct box *x = arg;
	struct session files = {-1, 0};
	struct err e;
	x->retry = NULL;
	bool ok = !failed(session_open(x->all->sessions, x->session, &files, &e)) && !failed(launch(x, &files, &e));
	fd_close(&files.lock); // the sandbox's init holds it now
	if (ok)
		return;
	if (e.kind == ERR_CONFLICT && loop_now_ms(x->all->loop) < x->deadline_ms) {
		x->retry = loop_timer_start(x->all->loop, RETRY_MS, attempt, x);
		return;
	}
	wait_answer(x->all, &x->creating, &e);
	finish(x, NULL);
}

void box_create(struct boxes *b, const char *session, uint64_t client, uint32_t id)
{
	struct box *x = box_find(b, session);
	if (x != NULL && x->ending) {
		struct err e;
		(void)err_set(&e, ERR_CONFLICT, "the sandbox of session %s is being ended", session);
		boxes_answer(b, client, id, &e, false, -1);
		return;
	}
	if (x != NULL && x->ready) {
		boxes_answer(b, client, id, NULL, true, -1);
		return;
	}
	if (x != NULL) {
		wait_add(&x->creating, client, id, true);
		return;
	}
	x = NEW(struct box);
	*x = (struct box){.next = b->first, .all = b, .deadline_ms = loop_now_ms(b->loop) + OLD_ONE_MS};
	snprintf(x->session, sizeof(x->session), "%s", session);
	b->first = x;
	wait_add(&x->creating, client, id, false);
	attempt(x);
}

void box_end(struct box *x)
{
	struct err e;
	bool already = x->ending;
	x->ending = true;
	if (x->sandbox != NULL) {
		sandbox_kill(x->sandbox);
		return;
	}
	if (already)
		return;
	(void)err_set(&e, ERR_CONFLICT, "the sandbox of session %s was ended", x->session);
	loop_timer_cancel(&x->retry);
	wait_answer(x->all, &x->creating, &e);
	if (x->remove)
		remove_files(x);
	else
		finish(x, NULL);
}

void box_kill(struct boxes *b, const char *session, bool remove, uint64_t client, uint32_t id)
{
	struct box *x = box_find(b, session);
	if (x == NULL && !remove) {
		boxes_answer(b, client, id, NULL, false, -1);
		return;
	}
	if (x == NULL) {
		x = NEW(struct box);
		*x = (struct box){.next = b->first, .all = b};
		snprintf(x->session, sizeof(x->session), "%s", session);
		b->first = x;
	}
	x->remove |= remove;
	wait_add(&x->killing, client, id, true);
	box_end(x);
}

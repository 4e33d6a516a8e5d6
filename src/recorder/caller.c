#include "recorder/caller.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/epoll.h>

#include "audit/frame.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "recorder/desk.h"

#define IN_MAX 65536
#define OUT_PAUSE 65536                                                       // unread answers that stop the reading
#define OUT_MAX (OUT_PAUSE + (DESK_IN_FLIGHT_MAX + 2) * (FRAME_HEADER + 600)) // what can still come on top

// The entry that is coming in.
struct arriving {
	json_t *hold;
	struct audit_entry entry;
	bool refused; // `why` goes out when its last byte has come
	struct err why;
	struct hash_mac *args_mac, *result_mac;
};

struct caller {
	struct loop *loop;
	int fd;
	struct loop_fd *watch;
	struct loop_timer *hello;
	struct intake *intake;
	const char *origin;
	void (*moved)(void *arg, struct caller *c);
	void *arg;
	uid_t uid;
	pid_t pid;
	char role[16]; // "": it has not greeted
	struct frame_reader reader;
	struct buf in, out;
	struct arriving now;
	size_t in_flight;
	size_t handed_in; // in this rate interval
	bool paused;
	bool deaf; // reads nothing any more
	bool over;
};

static void fini_arriving(struct arriving *a)
{
	json_decref(a->hold);
	hash_mac_free(&a->args_mac);
	hash_mac_free(&a->result_mac);
	*a = (struct arriving){0};
}

static bool may_read(const struct caller *c)
{
	return !c->deaf && !c->over && c->in_flight < DESK_IN_FLIGHT_MAX && buf_len(&c->out) < OUT_PAUSE &&
	       c->handed_in < DESK_RATE_MAX && !intake_full(c->intake);
}

static void watch(struct caller *c)
{
	c->paused = !may_read(c);
	loop_fd_watch(c->watch, (c->paused ? 0 : EPOLLIN) | (buf_len(&c->out) > 0 ? EPOLLOUT : 0));
}

static void send_out(struct caller *c)
{
	while (buf_len(&c->out) > 0 && !c->over) {
		struct span s = buf_span(&c->out);
		ssize_t n = send(c->fd, s.data, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			c->over = true;
		else
			buf_consume(&c->out, (size_t)n);
	}
}

static struct result hello(struct caller *c, struct span text, struct err *e)
{
	AUTO_JSON json_t *j = NULL;
	struct span role;
	int64_t version;
	TRY(json_parse_object(text, "greeting", &j, e));
	TRY(json_get_string(j, "greeting", "role", &role, e));
	TRY(json_get_int(j, "greeting", "version", &version, e));
	if (version != 1 || json_object_size(j) != 2)
		return err_set(e, ERR_INVALID, "greeting: this recorder speaks version 1");
	if (!writers_role_known(role) || role.len >= sizeof(c->role) || c->role[0] != '\0')
		return err_set(e, ERR_INVALID, "greeting: no such role, or a second greeting");
	memcpy(c->role, role.data, role.len);
	loop_timer_cancel(&c->hello);
	AUTO_JSON json_t *answer = json_pack("{s:s}", "origin", c->origin);
	size_t n;
	AUTO_FREE char *welcome = json_text(answer, &n);
	BUG_ON(!frame_put_text(&c->out, FRAME_WELCOME, ERR_NONE, 0, span_from(welcome, n)));
	log_info("caller.joined", "role=%s uid=%u pid=%d", c->role, (unsigned)c->uid, (int)c->pid);
	return OK;
}

static struct result mac_start(struct caller *c, uint32_t len, struct hash_mac **mac, struct err *e)
{
	unsigned char key[HASH_LEN];
	if (len == 0)
		return OK;
	TRY(intake_session_key(c->intake, c->now.entry.session, key, e));
	*mac = hash_mac_new(key);
	mem_wipe(key, sizeof(key));
	return OK;
}

static struct result on_text(void *arg, const struct frame *f, struct span text, struct err *e)
{
	struct caller *c = arg;
	if (f->type == FRAME_HELLO)
		return hello(c, text, e);
	if (f->type != FRAME_ENTRY || c->role[0] == '\0')
		return err_set(e, ERR_INVALID, "expected a greeting first, then entries");
	TRY(submission_read(text, &c->now.hold, &c->now.entry, e));
	// From here on what goes wrong is the entry's fault or ours, not the protocol's.
	c->now.refused = failed(mac_start(c, f->args_len, &c->now.args_mac, &c->now.why)) ||
	                 failed(mac_start(c, f->result_len, &c->now.result_mac, &c->now.why));
	return OK;
}

static struct result on_payload(void *arg, bool is_result, struct span piece, struct err *e)
{
	struct caller *c = arg;
	struct hash_mac *mac = is_result ? c->now.result_mac : c->now.args_mac;
	(void)e;
	if (mac != NULL)
		hash_mac_add(mac, piece);
	return OK;
}

static struct entry_payload payload_of(uint32_t len, struct hash_mac **mac)
{
	struct entry_payload p = {.len = len};
	if (*mac != NULL)
		p.mac = hash_mac_finish(mac);
	return p;
}

static struct result on_end(void *arg, const struct frame *f, struct err *e)
{
	struct caller *c = arg;
	(void)e;
	if (f->type != FRAME_ENTRY)
		return OK;
	struct entry_payload args = payload_of(f->args_len, &c->now.args_mac);
	struct entry_payload result = payload_of(f->result_len, &c->now.result_mac);
	struct intake_from from = {c->role, c->uid, c->pid};
	bool refused =
	        c->now.refused || failed(intake_take(c->intake, &from, c, f->id, &c->now.entry, &args, &result, &c->now.why));
	c->handed_in++;
	c->in_flight++;
	if (refused)
		caller_answer(c, f->id, 0, &c->now.why);
	fini_arriving(&c->now);
	c->paused = !may_read(c);
	return OK;
}

static const struct frame_events events = {on_text, on_payload, on_end};

// The caller broke the protocol: it is told, and cut off.
static void cut_off(struct caller *c, const struct err *why)
{
	log_warn("caller.cut", "role=%s pid=%d reason=%s", c->role, (int)c->pid, LOG_Q(span_of(why->msg)));
	if (frame_put_text(&c->out, FRAME_ERROR, why->kind, 0, span_of(why->msg)))
		send_out(c);
	c->over = true;
}

static void work_on_input(struct caller *c)
{
	struct err e;
	size_t taken = 0;
	while (!c->paused && !c->over && buf_len(&c->in) > 0) {
		struct result r = frame_feed(&c->reader, buf_span(&c->in), &events, c, &c->paused, &taken, &e);
		buf_consume(&c->in, taken);
		if (failed(r))
			cut_off(c, &e);
	}
}

static void receive(struct caller *c)
{
	char *to = buf_reserve(&c->in, IN_MAX - buf_len(&c->in));
	ssize_t n = recv(c->fd, to, IN_MAX - buf_len(&c->in), MSG_DONTWAIT);
	if (n > 0)
		buf_commit(&c->in, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		c->over = true;
}

static void ready(void *arg, uint32_t what)
{
	struct caller *c = arg;
	if ((what & EPOLLOUT) != 0)
		send_out(c);
	c->paused = !may_read(c);
	if ((what & EPOLLIN) != 0 && !c->paused && buf_len(&c->in) < IN_MAX)
		receive(c);
	work_on_input(c);
	send_out(c);
	if (!c->over)
		watch(c);
	c->moved(c->arg, c);
}

static void hello_late(void *arg)
{
	struct caller *c = arg;
	c->hello = NULL;
	cut_off(c, &(struct err){.kind = ERR_INVALID, .msg = "no greeting came"});
	c->moved(c->arg, c);
}

void caller_answer(struct caller *c, uint64_t id, uint64_t index, const struct err *e)
{
	char text[24];
	BUG_ON(c->in_flight == 0);
	c->in_flight--;
	snprintf(text, sizeof(text), "%" PRIu64, index);
	// It can't be full: reading stops long before, and only what was read is answered.
	BUG_ON(e == NULL ? !frame_put_text(&c->out, FRAME_STORED, ERR_NONE, id, span_of(text))
	                 : !frame_put_text(&c->out, FRAME_REFUSED, e->kind, id, span_of(e->msg)));
}

void caller_settle(struct caller *c)
{
	send_out(c);
	c->paused = !may_read(c);
	work_on_input(c);
	send_out(c);
	if (!c->over)
		watch(c);
}

bool caller_over(const struct caller *c)
{
	return c->over;
}

bool caller_counts(const struct caller *c)
{
	return c->handed_in > 0;
}

bool caller_rate_over(struct caller *c)
{
	bool any = c->handed_in > 0;
	c->handed_in = 0;
	return any;
}

void caller_close_input(struct caller *c)
{
	c->deaf = true;
	watch(c);
}

struct caller *caller_start(struct loop *l, int fd, const struct ucred *peer, struct intake *in, const char *origin,
                            void (*moved)(void *arg, struct caller *c), void *arg)
{
	struct caller *c = NEW(struct caller);
	c->loop = l;
	c->fd = fd;
	c->uid = peer->uid;
	c->pid = peer->pid;
	c->intake = in;
	c->origin = origin;
	c->moved = moved;
	c->arg = arg;
	frame_reader_init(&c->reader);
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, OUT_MAX);
	c->watch = loop_fd_start(l, fd, EPOLLIN, ready, c);
	c->hello = loop_timer_start(l, DESK_HELLO_MS, hello_late, c);
	return c;
}

void caller_free(struct caller **c)
{
	if (*c == NULL)
		return;
	intake_forget((*c)->intake, *c);
	loop_timer_cancel(&(*c)->hello);
	loop_fd_cancel(&(*c)->watch);
	fd_close(&(*c)->fd);
	fini_arriving(&(*c)->now);
	frame_reader_fini(&(*c)->reader);
	buf_fini(&(*c)->in);
	buf_fini(&(*c)->out);
	free(*c);
	*c = NULL;
}

#include "worker/post.h"

#include "base/log.h"
#include "base/mem.h"

#define RETRY_FIRST_MS 1000
#define RETRY_CAP_MS 30000
#define TRY_MS 60000
#define ONCE_MS 2000
#define ANSWER_MAX ((size_t)32 << 20) // control sends back what it stored

struct post {
	struct post_opts o;
	char *session, *token, *call, *body;
	struct plane_call *sending;
	struct loop_timer *again, *deadline;
	unsigned int attempt;
};

char *post_body(const char *call, bool is_error, struct span text, size_t *len)
{
	AUTO_JSON json_t *block = json_object(), *event = json_object(), *all = json_object();
	json_object_set_new(block, "type", json_string("text"));
	json_object_set_new(block, "text", json_string_lossy(text));
	json_object_set_new(event, "type", json_string("user.tool_result"));
	json_object_set_new(event, "tool_use_id", json_string(call));
	json_object_set_new(event, "is_error", json_boolean(is_error));
	json_t *content = json_array(), *events = json_array();
	json_array_append(content, block);
	json_object_set_new(event, "content", content);
	json_array_append(events, event);
	json_object_set_new(all, "events", events);
	return json_text(all, len);
}

static void finish(struct post *p, enum post_end end)
{
	void (*done)(void *, enum post_end) = p->o.done;
	void *arg = p->o.arg;
	post_drop(&p);
	done(arg, end);
}

static void send_now(void *arg);

static void answered(void *arg, const struct plane_answer *a)
{
	struct post *p = arg;
	p->sending = NULL;
	if (a->ok) {
		finish(p, POST_STORED);
		return;
	}
	log_warn("worker.result_post_failed", "session=%s call=%s attempt=%u error=%s", p->session, p->call, p->attempt,
	         LOG_Q(span_of(a->why.msg)));
	if (a->fatal || a->why.kind == ERR_TOO_LARGE) {
		finish(p, POST_REFUSED);
		return;
	}
	uint64_t left = lease_left_ms(p->o.lease), wait = plane_backoff(p->attempt - 1, RETRY_FIRST_MS, RETRY_CAP_MS);
	if (p->o.once || left == 0)
		finish(p, POST_GIVEN_UP);
	else
		p->again = loop_timer_start(plane_loop(p->o.plane), wait < left ? wait : left, send_now, p);
}

// No result may arrive when the item can be another worker's.
static void lease_over(void *arg)
{
	struct post *p = arg;
	p->deadline = NULL;
	if (lease_live(p->o.lease))
		p->deadline = loop_timer_start(plane_loop(p->o.plane), lease_left_ms(p->o.lease), lease_over, p);
	else
		finish(p, POST_GIVEN_UP);
}

static void send_now(void *arg)
{
	struct post *p = arg;
	p->again = NULL;
	AUTO_FREE char *path = mem_printf("/v1/sessions/%s/events", p->session);
	const struct plane_request r = {.method = "POST",
	                                .path = path,
	                                .token = p->token,
	                                .body = span_from(p->body, p->o.body.len),
	                                .answer_max = ANSWER_MAX,
	                                .timeout_ms = p->o.once ? ONCE_MS : TRY_MS,
	                                .tries = p->o.once ? 1 : 0,
	                                .done = answered,
	                                .arg = p};
	p->attempt++;
	p->sending = plane_send(p->o.plane, &r);
}

static void give_up(void *arg)
{
	struct post *p = arg;
	p->deadline = NULL;
	finish(p, POST_GIVEN_UP);
}

void post_hurry(struct post *p)
{
	if (p->o.once)
		return;
	p->o.once = true;
	loop_timer_cancel(&p->deadline);
	p->deadline = loop_timer_start(plane_loop(p->o.plane), ONCE_MS, give_up, p);
	if (p->again != NULL) {
		loop_timer_cancel(&p->again);
		send_now(p);
	}
}

struct post *post_start(const struct post_opts *opts)
{
	struct post *p = NEW(struct post);
	p->o = *opts;
	p->session = mem_strdup(opts->session);
	p->token = opts->token == NULL ? NULL : mem_strdup(opts->token);
	p->call = mem_strdup(opts->call);
	p->body = span_dup(opts->body);
	if (!opts->once)
		p->deadline = loop_timer_start(plane_loop(opts->plane), lease_left_ms(opts->lease), lease_over, p);
	send_now(p);
	return p;
}

void post_drop(struct post **post)
{
	struct post *p = *post;
	if (p == NULL)
		return;
	*post = NULL;
	plane_cancel(&p->sending);
	loop_timer_cancel(&p->again);
	loop_timer_cancel(&p->deadline);
	free(p->session);
	if (p->token != NULL)
		mem_wipe(p->token, strlen(p->token));
	free(p->token);
	free(p->call);
	free(p->body);
	free(p);
}

#include "control/router.h"

#include "base/mem.h"
#include "control/agents.h"
#include "control/environments.h"
#include "control/events.h"
#include "control/request.h"
#include "control/session_text.h"
#include "control/sessions.h"
#include "control/work_routes.h"

#define QUERY_MAX 32768
#define SEGMENT_MAX 128

// Who may use a route.
enum {
	API = 1 << AUTH_API,
	ENV = 1 << AUTH_ENVIRONMENT,
	TOKEN = 1 << AUTH_TOKEN,
	ENDED = 1 << AUTH_ENDED,
	WORKER = ENV | TOKEN,
};

struct route {
	const char *method;
	const char *path; // '*' stands for one segment
	unsigned int who;
	void (*handle)(struct request *r);
};

static const struct route routes[] = {
        {"GET", "v1/environments/*/work/poll", ENV, work_poll},
        {"GET", "v1/environments/*/work/stats", API | ENV, work_stats},
        {"GET", "v1/environments/*/work", ENV, work_list},
        {"GET", "v1/environments/*/work/*", API, work_get},
        {"POST", "v1/environments/*/work/*", API, work_update},
        {"POST", "v1/environments/*/work/*/ack", WORKER, work_ack},
        {"POST", "v1/environments/*/work/*/heartbeat", WORKER | ENDED, work_heartbeat},
        {"POST", "v1/environments/*/work/*/stop", API | WORKER | ENDED, work_stop},

        {"POST", "v1/sessions/*/events", API | WORKER, events_send},
        {"GET", "v1/sessions/*/events", API | WORKER, events_list},
        {"GET", "v1/sessions/*/events/stream", API | WORKER, events_stream},
        {"GET", "v1/sessions/*", API | WORKER, sessions_get},
        {"POST", "v1/sessions", API, sessions_create},
        {"GET", "v1/sessions", API, sessions_list},
        {"POST", "v1/sessions/*", API, sessions_update},
        {"DELETE", "v1/sessions/*", API, sessions_delete},
        {"POST", "v1/sessions/*/archive", API, sessions_archive},
        {"GET", "v1/sessions/*/resources", API, sessions_resources},
        {"POST", "v1/sessions/*/resources", API, sessions_resources_add},
        {"GET", "v1/sessions/*/resources/*", API, sessions_resource},
        {"POST", "v1/sessions/*/resources/*", API, sessions_resource},
        {"DELETE", "v1/sessions/*/resources/*", API, sessions_resource},
        {"GET", "v1/sessions/*/threads", API, sessions_threads},
        {"GET", "v1/sessions/*/threads/*", API, sessions_thread},
        {"POST", "v1/sessions/*/threads/*/archive", API, sessions_thread_archive},
        {"GET", "v1/sessions/*/threads/*/events", API, events_list},
        {"GET", "v1/sessions/*/threads/*/stream", API, events_stream},

        {"POST", "v1/environments", API, environments_create},
        {"GET", "v1/environments", API, environments_list},
        {"GET", "v1/environments/*", API, environments_get},
        {"POST", "v1/environments/*", API, environments_update},
        {"DELETE", "v1/environments/*", API, environments_delete},
        {"POST", "v1/environments/*/archive", API, environments_archive},

        {"POST", "v1/agents", API, agents_create},
        {"GET", "v1/agents", API, agents_list},
        {"GET", "v1/agents/*", API, agents_get},
        {"POST", "v1/agents/*", API, agents_update},
        {"POST", "v1/agents/*/archive", API, agents_archive},
        {"GET", "v1/agents/*/versions", API, agents_versions},
};

static bool matches(const struct request *r, const char *path)
{
	struct span rest = span_of(path), head;
	for (size_t i = 0;; i++) {
		bool more = span_cut(rest, '/', &head, &rest);
		if (i >= r->n_segments || (!span_is(head, "*") && !span_is(head, r->segments[i])))
			return false;
		if (!more)
			return i + 1 == r->n_segments;
	}
}

static const struct route *find_route(const struct request *r, struct span method, bool *other_method)
{
	*other_method = false;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!matches(r, routes[i].path))
			continue;
		if (span_is(method, routes[i].method))
			return &routes[i];
		*other_method = true;
	}
	return NULL;
}

// Words of routes and identifiers are made of these; nothing else can be here, and what follows need not think of it.
static bool is_word(struct span s)
{
	bool ok = s.len >= 1 && s.len <= SEGMENT_MAX && s.data[0] != '.';
	for (size_t i = 0; i < s.len && ok; i++) {
		char c = s.data[i];
		ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
		     c == '.';
	}
	return ok;
}

static struct result parse_path(struct request *r, struct span path, struct err *e)
{
	AUTO_BUF struct buf segment;
	buf_init(&segment, 4096);
	if (path.len == 0 || path.data[0] != '/')
		return err_set(e, ERR_NOT_FOUND, "there is nothing here");
	struct span rest = span_skip(path, 1), head;
	for (bool more = true; more;) {
		more = span_cut(rest, '/', &head, &rest);
		if (r->n_segments == REQUEST_SEGMENTS_MAX)
			return err_set(e, ERR_NOT_FOUND, "there is nothing here");
		buf_clear(&segment);
		TRY(http1_decode_segment(head, &segment, e));
		if (!is_word(buf_span(&segment)))
			return err_set(e, ERR_NOT_FOUND, "there is nothing here: no path has such a part");
		r->segments[r->n_segments++] = span_dup(buf_span(&segment));
	}
	return OK;
}

static struct result parse_query(struct request *r, struct span query, struct err *e)
{
	AUTO_BUF struct buf name, value;
	buf_init(&name, QUERY_MAX);
	buf_init(&value, QUERY_MAX);
	for (;;) {
		bool more = false;
		TRY(http1_query_next(&query, &name, &value, &more, e));
		if (!more)
			return OK;
		if (r->n_query == REQUEST_QUERY_MAX)
			return err_set(e, ERR_INVALID, "more than %d query parameters", REQUEST_QUERY_MAX);
		struct request_param *p = &r->query[r->n_query++];
		p->name = span_dup(buf_span(&name));
		p->value = span_dup(buf_span(&value));
	}
}

static struct result authenticate(struct request *r, struct err *e)
{
	const struct credential *who = auth_find(r->c->auth, http_exchange_request(r->x));
	if (who == NULL)
		return err_set(e, ERR_UNAUTHENTICATED,
		               "no valid credential: send the API key, an environment key or a sessions token as"
		               " \"Authorization: Bearer …\" or \"x-api-key: …\"");
	r->who = *who;
	return OK;
}

static struct result authorize(const struct request *r, const struct route *route, struct err *e)
{
	static const char *const names[] = {"", "an API key", "an environment key", "a sessions token", "a sessions token"};
	const struct credential *who = &r->who;
	if (!(route->who & (1u << who->kind)))
		return who->kind == AUTH_ENDED ? err_set(e, ERR_UNAUTHENTICATED, "the lease of this sessions token has ended")
		                               : err_set(e, ERR_DENIED, "%s may not be used here", names[who->kind]);
	if (who->kind == AUTH_API || strcmp(r->segments[1], "environments") != 0)
		return OK; // rights to a session are checked where its environment is known
	if (who->environment[0] != '\0' && strcmp(who->environment, r->segments[2]) != 0)
		return err_set(e, ERR_DENIED, "this credential is not for environment %.64s", r->segments[2]);
	if (who->kind != AUTH_ENVIRONMENT && (r->n_segments < 5 || strcmp(who->id, r->segments[4]) != 0))
		return err_set(e, ERR_DENIED, "this sessions token is not for that work item");
	return OK;
}

// The primary thread is the only one: its id must be right.
static struct result check_thread(const struct request *r, struct err *e)
{
	bool threaded = r->n_segments == 6 && strcmp(r->segments[3], "threads") == 0;
	if (threaded && !session_text_is_thread(r->segments[2], r->segments[4]))
		return err_set(e, ERR_NOT_FOUND, "session %.64s has no thread %.64s", r->segments[2], r->segments[4]);
	return OK;
}

void router_handle(void *arg, struct http_exchange *x)
{
	struct control *c = arg;
	struct request *r = request_new(c, x);
	const struct http1_request *http = http_exchange_request(x);
	const struct route *route = NULL;
	bool other_method = false;
	struct err e;
	struct result res = c->serving ? authenticate(r, &e) : err_set(&e, ERR_UNREACHABLE, "control is starting: try again");
	if (!failed(res))
		res = parse_path(r, http->path, &e);
	if (!failed(res)) {
		route = find_route(r, http->method, &other_method);
		if (route == NULL)
			res = other_method ? err_set(&e, ERR_INVALID, "%.*s is not for this path",
			                             SPAN_FMT(span_head(http->method, 16)))
			                   : err_set(&e, ERR_NOT_FOUND, "there is nothing at this path");
	}
	if (!failed(res))
		res = authorize(r, route, &e);
	if (!failed(res))
		res = parse_query(r, http->query, &e);
	if (!failed(res))
		res = check_thread(r, &e);
	if (failed(res))
		request_refuse(r, &e, &(struct request_error){.status = other_method && route == NULL ? 405 : 0});
	else
		route->handle(r);
}

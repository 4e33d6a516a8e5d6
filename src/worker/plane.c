#include "worker/plane.h"

#include <ctype.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/protocol.h"
#include "base/random.h"

#define ANSWER_MAX (1 << 20)
#define TRY_TIMEOUT_MS 60000
#define TRIES 3
#define RETRY_FIRST_MS 500
#define RETRY_CAP_MS 8000
#define RETRY_AFTER_MAX_MS 60000
#define FIELDS_MAX 9

struct plane {
	struct loop *loop;
	struct http_client *http;
	char *base_url, *environment, *key;
	char *worker_field, *journal_field;
	struct plane_call *calls;
};

struct plane_call {
	struct plane *p;
	struct plane_call *next, **at;
	struct http_call *http;
	struct loop_timer *again;
	char *url, *method, *token, *body;
	struct plane_request r; // its strings are ours, above
	unsigned int tried;
};

static char *without_slash(const char *url)
{
	size_t n = strlen(url);
	while (n > 0 && url[n - 1] == '/')
		n--;
	return span_dup(span_from(url, n));
}

struct result plane_new(struct loop *l, const struct plane_opts *opts, struct plane **out, struct err *e)
{
	struct plane *p = NEW(struct plane);
	const struct http_client_opts http = {.user_agent = "sallyport-worker/" SALLYPORT_VERSION};
	p->loop = l;
	p->base_url = without_slash(opts->base_url);
	p->environment = mem_strdup(opts->environment);
	p->key = mem_strdup(opts->key);
	p->worker_field = mem_printf("Anthropic-Worker-ID: %s", opts->worker_id);
	p->journal_field = mem_printf(PROTOCOL_JOURNAL_FIELD ": %s", opts->journal);
	if (failed(http_client_new(l, &http, &p->http, e))) {
		plane_free(p);
		return FAIL;
	}
	*out = p;
	return OK;
}

static void free_secret(char *s)
{
	if (s == NULL)
		return;
	mem_wipe(s, strlen(s));
	free(s);
}

static void call_free(struct plane_call *c)
{
	*c->at = c->next;
	if (c->next != NULL)
		c->next->at = c->at;
	http_call_cancel(&c->http);
	loop_timer_cancel(&c->again);
	free(c->url);
	free(c->method);
	free_secret(c->token);
	free(c->body);
	free(c);
}

void plane_free(struct plane *p)
{
	if (p == NULL)
		return;
	for (struct plane_call *c = p->calls, *next; c != NULL; c = next) {
		next = c->next;
		call_free(c);
	}
	if (p->http != NULL)
		http_client_free(p->http);
	free(p->base_url);
	free(p->environment);
	free_secret(p->key);
	free(p->worker_field);
	free(p->journal_field);
	free(p);
}

struct loop *plane_loop(const struct plane *p)
{
	return p->loop;
}

const char *plane_environment(const struct plane *p)
{
	return p->environment;
}

const char *plane_base_url(const struct plane *p)
{
	return p->base_url;
}

bool plane_is_fatal(int status)
{
	return status >= 400 && status < 500 && status != 408 && status != 409 && status != 429;
}

uint64_t plane_backoff(unsigned int attempt, uint64_t base_ms, uint64_t cap_ms)
{
	uint64_t ms = attempt >= 20 || base_ms << attempt > cap_ms ? cap_ms : base_ms << attempt;
	return ms - random_below(ms / 4 + 1);
}

bool plane_id_ok(struct span id, size_t max)
{
	if (id.len == 0 || id.len > max)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		if (!isalnum((unsigned char)id.data[i]) && id.data[i] != '_' && id.data[i] != '-')
			return false;
	}
	return true;
}

void plane_error(int status, const json_t *body, struct err *e)
{
	struct span text = json_span(json_object_get(json_object_get(body, "error"), "message"));
	enum err_kind kind = status == 401   ? ERR_UNAUTHENTICATED
	                     : status == 403 ? ERR_DENIED
	                     : status == 404 ? ERR_NOT_FOUND
	                     : status == 409 ? ERR_CONFLICT
	                     : status < 500  ? ERR_INVALID
	                                     : ERR_UNREACHABLE;
	if (text.len > 0)
		err_set(e, kind, "HTTP %d %s", status, LOG_Q(span_head(text, 200)));
	else
		err_set(e, kind, "HTTP %d", status);
}

// The fields of one request; `auth` is the caller's to wipe.
static void fill_fields(const struct plane *p, const char *fields[FIELDS_MAX], const char *auth, bool has_body,
                        bool names_worker)
{
	size_t n = 0;
	fields[n++] = auth;
	fields[n++] = "anthropic-version: 2026-10-21";
	fields[n++] = "anthropic-beta: managed-agents-2026-04-01";
	fields[n++] = "Accept: application/json";
	fields[n++] = p->journal_field;
	if (has_body)
		fields[n++] = "Content-Type: application/json";
	if (names_worker)
		fields[n++] = p->worker_field;
	fields[n] = NULL;
}

static void start_try(struct plane_call *c);

static void try_again(void *arg)
{
	struct plane_call *c = arg;
	c->again = NULL;
	start_try(c);
}

static uint64_t asked_to_wait(struct http_call *h)
{
	static const struct {
		const char *name;
		uint64_t unit;
	} names[] = {{"retry-after-ms", 1}, {"retry-after", 1000}};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *text = http_call_field(h, names[i].name);
		uint64_t value;
		if (text != NULL && !failed(span_to_u64(span_trim(span_of(text)), 86400000, names[i].name, &value, NULL)))
			return value * names[i].unit < RETRY_AFTER_MAX_MS ? value * names[i].unit : RETRY_AFTER_MAX_MS;
	}
	return 0;
}

static bool may_retry(struct http_call *h, int status)
{
	const char *says = h == NULL ? NULL : http_call_field(h, "x-should-retry");
	if (says != NULL && strcmp(says, "true") == 0)
		return true;
	if (says != NULL && strcmp(says, "false") == 0)
		return false;
	return status == 0 || status == 408 || status == 409 || status == 429 || status >= 500;
}

static void finish(struct plane_call *c, const struct plane_answer *a)
{
	void (*done)(void *, const struct plane_answer *) = c->r.done;
	void *arg = c->r.arg;
	call_free(c);
	done(arg, a);
}

static void tried(void *arg, int status, struct span body, const struct err *e)
{
	struct plane_call *c = arg;
	struct http_call *h = c->http;
	AUTO_JSON json_t *json = NULL;
	struct plane_answer a = {.status = e == NULL ? status : 0};
	const char *field = http_call_field(h, PROTOCOL_CALLS_FIELD);
	AUTO_FREE char *calls = field == NULL ? NULL : mem_strdup(field);
	a.calls = calls;
	a.retry_after_ms = asked_to_wait(h);
	bool retry = may_retry(e == NULL ? h : NULL, a.status);
	c->http = NULL;
	if (e != NULL)
		a.why = *e;
	else if (body.len > 0 && failed(json_parse_lossy(body, "the answer", &json, &a.why)) && status < 300)
		retry = false; // asking again brings the same
	else if (status >= 200 && status < 300)
		a.ok = true;
	else
		plane_error(status, json, &a.why);
	// A too large or malformed answer is no hiccup of the network.
	if (e != NULL && e->kind != ERR_UNREACHABLE)
		retry = false;
	a.fatal = plane_is_fatal(a.status);
	a.body = json;
	if (a.ok || !retry || c->tried >= c->r.tries) {
		finish(c, &a);
		return;
	}
	uint64_t wait = a.retry_after_ms > 0 ? a.retry_after_ms : plane_backoff(c->tried - 1, RETRY_FIRST_MS, RETRY_CAP_MS);
	c->again = loop_timer_start(c->p->loop, wait, try_again, c);
}

static void start_try(struct plane_call *c)
{
	const char *fields[FIELDS_MAX];
	char *auth = mem_printf("Authorization: Bearer %s", c->token != NULL ? c->token : c->p->key);
	fill_fields(c->p, fields, auth, c->r.body.len > 0, c->r.names_worker);
	const struct http_call_opts opts = {.method = c->method,
	                                    .url = c->url,
	                                    .fields = fields,
	                                    .body = c->r.body,
	                                    .timeout_ms = c->r.timeout_ms,
	                                    .body_max = c->r.answer_max,
	                                    .done = tried,
	                                    .arg = c};
	c->tried++;
	c->http = http_call_start(c->p->http, &opts);
	free_secret(auth);
}

struct plane_call *plane_send(struct plane *p, const struct plane_request *r)
{
	struct plane_call *c = NEW(struct plane_call);
	c->p = p;
	c->r = *r;
	c->url = mem_printf("%s%s", p->base_url, r->path);
	c->method = mem_strdup(r->method);
	c->token = r->token == NULL ? NULL : mem_strdup(r->token);
	c->body = span_dup(r->body);
	c->r.body.data = c->body;
	if (c->r.tries == 0)
		c->r.tries = TRIES;
	if (c->r.timeout_ms == 0)
		c->r.timeout_ms = TRY_TIMEOUT_MS;
	if (c->r.answer_max == 0)
		c->r.answer_max = ANSWER_MAX;
	c->next = p->calls;
	c->at = &p->calls;
	if (c->next != NULL)
		c->next->at = &c->next;
	p->calls = c;
	start_try(c);
	return c;
}

void plane_cancel(struct plane_call **c)
{
	if (*c != NULL)
		call_free(*c);
	*c = NULL;
}

struct http_call *plane_stream(struct plane *p, const char *path, const char *token, const struct http_call_opts *callbacks)
{
	const char *fields[FIELDS_MAX];
	char *auth = mem_printf("Authorization: Bearer %s", token != NULL ? token : p->key);
	AUTO_FREE char *url = mem_printf("%s%s", p->base_url, path);
	struct http_call_opts opts = *callbacks;
	fill_fields(p, fields, auth, false, false);
	opts.method = "GET";
	opts.url = url;
	opts.fields = fields;
	struct http_call *h = http_call_start(p->http, &opts);
	free_secret(auth);
	return h;
}

#include "net/http_client.h"

#include <curl/curl.h>
#include <signal.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#define CONNECT_TIMEOUT_MS 10000

struct http_client {
	struct loop *loop;
	CURLM *multi;
	char *user_agent, *proxy;
	struct loop_timer *timer;
	struct http_call *calls;
	// libcurl can't be entered from its own callbacks, which are where ours run: while `depth` is not 0, starts and ends of
	// calls, and of the client itself, wait until it is.
	unsigned depth;
	bool dying;
	bool changed; // some call is to be added or freed
};

enum call_state { CALL_NEW, CALL_RUNNING, CALL_DEAD };

struct http_call {
	struct http_client *client;
	struct http_call *prev, *next;
	enum call_state state;
	struct http_call_opts o; // only the callbacks and numbers are used after the start
	char *what;              // "METHOD URL", for errors
	CURL *easy;
	struct curl_slist *fields;
	struct loop_timer *silence;
	uint64_t heard_ms;
	int status;
	uint64_t received;
	struct buf body;
	struct err err; // why we ended it ourselves
	char curl_error[CURL_ERROR_SIZE];
};

struct watched {
	struct http_client *client;
	curl_socket_t fd;
	struct loop_fd *watch;
};

static void call_free(struct http_call *h)
{
	struct http_client *c = h->client;
	*(h->prev == NULL ? &c->calls : &h->prev->next) = h->next;
	if (h->next != NULL)
		h->next->prev = h->prev;
	loop_timer_cancel(&h->silence);
	curl_multi_remove_handle(c->multi, h->easy); // harmless when it was never added
	curl_easy_cleanup(h->easy);
	curl_slist_free_all(h->fields);
	buf_fini(&h->body);
	free(h->what);
	free(h);
}

static void client_destroy(struct http_client *c)
{
	struct http_call *next;
	for (struct http_call *h = c->calls; h != NULL; h = next) {
		next = h->next;
		call_free(h);
	}
	curl_multi_cleanup(c->multi);
	loop_timer_cancel(&c->timer);
	free(c->user_agent);
	free(c->proxy);
	free(c);
	curl_global_cleanup();
}

static void enter(struct http_client *c)
{
	c->depth++;
}

static void leave(struct http_client *c)
{
	if (--c->depth > 0)
		return;
	if (c->dying) {
		client_destroy(c);
		return;
	}
	struct http_call *next;
	for (struct http_call *h = c->changed ? c->calls : NULL; h != NULL; h = next) {
		next = h->next;
		if (h->state == CALL_DEAD) {
			call_free(h);
		} else if (h->state == CALL_NEW) {
			h->state = CALL_RUNNING;
			BUG_ON(curl_multi_add_handle(c->multi, h->easy) != CURLM_OK);
		}
	}
	c->changed = false;
}

static void call_die(struct http_call *h)
{
	h->state = CALL_DEAD;
	h->client->changed = true;
}

static void finish(struct http_call *h, CURLcode code)
{
	if (h->state == CALL_DEAD)
		return;
	call_die(h);
	struct err *e = &h->err;
	if (code != CURLE_OK && e->kind == ERR_NONE) {
		long asked = 0; // HTTP/0.9 is an unsupported protocol too, but the server's fault
		curl_easy_getinfo(h->easy, CURLINFO_REQUEST_SIZE, &asked);
		bool ours = asked == 0 &&
		            (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_LOGIN_DENIED);
		err_set(e, ours ? ERR_INVALID : ERR_UNREACHABLE, "%s",
		        h->curl_error[0] != '\0' ? h->curl_error : curl_easy_strerror(code));
	}
	if (e->kind != ERR_NONE)
		err_prefix(e, "%s", h->what);
	h->o.done(h->o.arg, h->status, buf_span(&h->body), e->kind == ERR_NONE ? NULL : e);
}

static void perform(struct http_client *c, curl_socket_t fd, int events)
{
	enter(c);
	int running, left;
	BUG_ON(curl_multi_socket_action(c->multi, fd, events, &running) != CURLM_OK);
	CURLMsg *m;
	while (!c->dying && (m = curl_multi_info_read(c->multi, &left)) != NULL) {
		struct http_call *h;
		if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &h) == CURLE_OK)
			finish(h, m->data.result);
	}
	leave(c);
}

static void timer_fired(void *arg)
{
	struct http_client *c = arg;
	c->timer = NULL;
	perform(c, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	(void)multi;
	struct http_client *c = arg;
	loop_timer_cancel(&c->timer);
	if (ms >= 0)
		c->timer = loop_timer_start(c->loop, (uint64_t)ms, timer_fired, c);
	return 0;
}

static void socket_ready(void *arg, uint32_t events)
{
	struct watched *w = arg;
	perform(w->client, w->fd, (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	(void)easy;
	struct http_client *c = arg;
	struct watched *w = known;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			loop_fd_cancel(&w->watch);
		free(w);
		return 0;
	}
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
	if (w != NULL) {
		loop_fd_watch(w->watch, events);
		return 0;
	}
	w = NEW(struct watched);
	*w = (struct watched){.client = c, .fd = fd};
	w->watch = loop_fd_start(c->loop, fd, events, socket_ready, w);
	curl_multi_assign(c->multi, fd, w);
	return 0;
}

struct result http_client_new(struct loop *l, const struct http_client_opts *opts, struct http_client **out, struct err *e)
{
	// With CURLOPT_NOSIGNAL libcurl leaves this to us: OpenSSL writes to its sockets without MSG_NOSIGNAL.
	signal(SIGPIPE, SIG_IGN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ERR_SYSTEM, "libcurl could not be set up");
	struct http_client *c = NEW(struct http_client);
	c->loop = l;
	c->user_agent = opts->user_agent == NULL ? NULL : mem_strdup(opts->user_agent);
	c->proxy = opts->proxy == NULL ? NULL : mem_strdup(opts->proxy);
	c->multi = curl_multi_init();
	BUG_ON(c->multi == NULL);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	*out = c;
	return OK;
}

void http_client_free(struct http_client *c)
{
	if (c == NULL)
		return;
	for (struct http_call *h = c->calls; h != NULL; h = h->next)
		h->state = CALL_DEAD;
	c->dying = true;
	enter(c);
	leave(c);
}

static bool hear(struct http_call *h)
{
	h->heard_ms = clock_mono_ms();
	return h->state == CALL_RUNNING;
}

// A line of an answer's head; the blank one ends it. After the final head come only trailers, which nobody asked for.
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct http_call *h = arg;
	size_t len = size * n;
	if (!hear(h))
		return CURL_WRITEFUNC_ERROR;
	bool blank = len > 0 && (line[0] == '\r' || line[0] == '\n');
	long status = 0;
	if (!blank || h->status != 0)
		return len;
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200) // 100 Continue and the like announce another head
		return len;
	h->status = (int)status;
	if (h->o.on_head != NULL)
		h->o.on_head(h->o.arg, h->status);
	return h->state == CALL_RUNNING ? len : CURL_WRITEFUNC_ERROR;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *h = arg;
	struct span bytes = {data, size * n};
	if (!hear(h))
		return CURL_WRITEFUNC_ERROR;
	h->received += bytes.len;
	bool limited = h->o.on_data == NULL || h->o.body_max > 0;
	if (limited && h->received > h->o.body_max) {
		err_set(&h->err, ERR_TOO_LARGE, "the answer is larger than %zu bytes", h->o.body_max);
		return CURL_WRITEFUNC_ERROR;
	}
	if (h->o.on_data != NULL)
		h->o.on_data(h->o.arg, bytes);
	else
		BUG_ON(!buf_add(&h->body, bytes));
	return h->state == CALL_RUNNING ? bytes.len : CURL_WRITEFUNC_ERROR;
}

static void silence_checked(void *arg)
{
	struct http_call *h = arg;
	struct http_client *c = h->client;
	h->silence = NULL;
	uint64_t silent = clock_mono_ms() - h->heard_ms, max = h->o.silence_timeout_ms;
	if (silent < max) {
		h->silence = loop_timer_start(c->loop, max - silent, silence_checked, h);
		return;
	}
	enter(c);
	err_set(&h->err, ERR_UNREACHABLE, "the server was silent for %llu ms", (unsigned long long)max);
	finish(h, CURLE_OPERATION_TIMEDOUT);
	leave(c);
}

static void add_field(struct http_call *h, const char *line)
{
	BUG_ON(strpbrk(line, "\r\n") != NULL);
	struct curl_slist *more = curl_slist_append(h->fields, line);
	BUG_ON(more == NULL);
	h->fields = more;
}

static void set_fields(struct http_call *h, const struct http_call_opts *o)
{
	bool typed = false;
	for (const char *const *f = o->fields; f != NULL && *f != NULL; f++) {
		typed |= strncasecmp(*f, "content-type:", 13) == 0;
		add_field(h, *f);
	}
	if (!typed)
		add_field(h, "Content-Type:"); // else libcurl says it is a form
	add_field(h, "Expect:");
	curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->fields);
}

static void set_request(struct http_call *h, const struct http_call_opts *o)
{
	CURL *easy = h->easy;
	curl_easy_setopt(easy, CURLOPT_URL, o->url);
	if (strcmp(o->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (o->body.len > 0 || strcmp(o->method, "POST") == 0) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.len);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, o->body.len == 0 ? "" : o->body.data);
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, o->method);
	set_fields(h, o);
}

static void set_transport(struct http_call *h, const struct http_call_opts *o)
{
	CURL *easy = h->easy;
	const struct http_client *c = h->client;
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	// Without it, cancelling a call whose name is being looked up waits for the resolver's thread.
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
	                 (long)(o->connect_timeout_ms == 0 ? CONNECT_TIMEOUT_MS : o->connect_timeout_ms));
	if (c->user_agent != NULL)
		curl_easy_setopt(easy, CURLOPT_USERAGENT, c->user_agent);
	if (o->ca_file != NULL) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, o->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	if (c->proxy != NULL)
		curl_easy_setopt(easy, CURLOPT_PROXY, c->proxy);
}

struct http_call *http_call_start(struct http_client *c, const struct http_call_opts *opts)
{
	BUG_ON(c->dying);
	struct http_call *h = NEW(struct http_call);
	h->client = c;
	h->o = *opts;
	h->what = mem_printf("%s %s", opts->method, opts->url);
	h->easy = curl_easy_init();
	BUG_ON(h->easy == NULL);
	buf_init(&h->body, opts->body_max);
	set_request(h, opts);
	set_transport(h, opts);
	curl_easy_setopt(h->easy, CURLOPT_PRIVATE, h);
	curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->curl_error);
	curl_easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h->easy, CURLOPT_HEADERDATA, h);
	curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
	h->next = c->calls;
	if (h->next != NULL)
		h->next->prev = h;
	c->calls = h;
	c->changed = true;
	hear(h);
	if (opts->silence_timeout_ms > 0)
		h->silence = loop_timer_start(c->loop, opts->silence_timeout_ms, silence_checked, h);
	enter(c);
	leave(c);
	return h;
}

void http_call_cancel(struct http_call **hp)
{
	struct http_call *h = STEAL(*hp);
	if (h == NULL)
		return;
	struct http_client *c = h->client;
	call_die(h);
	enter(c);
	leave(c);
}

const char *http_call_field(struct http_call *h, const char *name)
{
	struct curl_header *f;
	if (curl_easy_header(h->easy, name, 0, CURLH_HEADER, -1, &f) != CURLHE_OK)
		return NULL;
	if (f->amount > 1 && curl_easy_header(h->easy, name, f->amount - 1, CURLH_HEADER, -1, &f) != CURLHE_OK)
		return NULL;
	return f->value;
}

#include "cli/api.h"

#include <stdlib.h>

#include "base/config.h"
#include "base/file.h"
#include "base/mem.h"

#define ANSWER_MAX (64U << 20)
#define TIMEOUT_MS 60000

struct api_sending {
	struct api *api;
	struct api_sending *next;
	void (*done)(void *arg, const json_t *answer, const struct err *e);
	void *arg;
};

static void forget(struct api_sending *s)
{
	struct api_sending **at = &s->api->sendings;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s);
}

static struct result choose_key(const struct config *c, struct buf *key, struct err *e)
{
	const char *named = getenv("ANTHROPIC_API_KEY");
	if (named != NULL && *named != '\0')
		return span_is_visible(span_of(named)) && buf_add_str(key, named)
		               ? OK
		               : err_set(e, ERR_INVALID, "ANTHROPIC_API_KEY is no key: too long, or not one word on one line");
	if (c == NULL || c->control.api_key_file == NULL)
		return err_set(e, ERR_MISUSED,
		               "no API key: set ANTHROPIC_API_KEY, or use a configuration with control.api_key_file");
	return file_read_key(c->control.api_key_file, key, e);
}

struct result api_init(struct api *a, struct loop *l, const struct config *c, struct err *e)
{
	*a = (struct api){.loop = l};
	const char *named = getenv("ANTHROPIC_BASE_URL");
	bool from_env = named != NULL && *named != '\0';
	if (!from_env && (c == NULL || c->control.listen == NULL))
		return err_set(e, ERR_MISUSED,
		               "no address: set ANTHROPIC_BASE_URL, or use a configuration with control.listen");
	AUTO_BUF struct buf key;
	buf_init(&key, 4096);
	TRY(choose_key(c, &key, e));
	a->key_header = mem_printf("x-api-key: %s", buf_str(&key));
	mem_wipe(key.mem, key.cap);
	a->base_url = from_env ? mem_strdup(named) : mem_printf("http://%s", c->control.listen);
	const struct http_client_opts opts = {.user_agent = "sallyport/" SALLYPORT_VERSION, .proxy = from_env ? NULL : ""};
	if (!failed(http_client_new(l, &opts, &a->http, e)))
		return OK;
	api_fini(a);
	return FAIL;
}

void api_fini(struct api *a)
{
	if (a->http != NULL)
		http_client_free(a->http);
	while (a->sendings != NULL)
		forget(a->sendings);
	if (a->key_header != NULL)
		mem_wipe(a->key_header, strlen(a->key_header));
	free(a->key_header);
	free(a->base_url);
	*a = (struct api){0};
}

// What the API's error object says, or that there was none.
static void explain(struct span body, int status, struct err *e)
{
	AUTO_JSON json_t *j = NULL;
	struct span message = SPAN_LIT("no reason given");
	if (!failed(json_parse_object(body, "answer", &j, NULL))) {
		struct span text = json_span(json_object_get(json_object_get(j, "error"), "message"));
		if (text.len > 0)
			message = text;
	}
	enum err_kind kind = status == 401   ? ERR_UNAUTHENTICATED
	                     : status == 403 ? ERR_DENIED
	                     : status == 404 ? ERR_NOT_FOUND
	                                     : ERR_INVALID;
	err_set(e, kind, "%.*s (HTTP %d)", SPAN_FMT(span_head(message, 400)), status);
}

static void answered(void *arg, int status, struct span body, const struct err *e)
{
	struct api_sending *s = arg;
	struct err why;
	AUTO_JSON json_t *answer = NULL;
	if (e != NULL) {
		why = *e;
		err_prefix(&why, "%s", s->api->base_url);
	} else if (status != 200) {
		explain(body, status, &why);
	} else if (failed(json_parse_object(body, "the API's answer", &answer, &why))) {
		answer = NULL;
	}
	void (*done)(void *, const json_t *, const struct err *) = s->done;
	void *done_arg = s->arg;
	forget(s);
	done(done_arg, answer, answer != NULL ? NULL : &why);
}

void api_send(struct api *a, const char *method, const char *path, const json_t *body,
              void (*done)(void *arg, const json_t *answer, const struct err *e), void *arg)
{
	AUTO_FREE char *url = mem_printf("%s%s", a->base_url, path);
	AUTO_FREE char *text = body == NULL ? NULL : json_text(body, NULL);
	const char *fields[] = {a->key_header, body == NULL ? NULL : "content-type: application/json", NULL};
	struct api_sending *s = NEW(struct api_sending);
	*s = (struct api_sending){a, a->sendings, done, arg};
	a->sendings = s;
	const struct http_call_opts opts = {.method = method,
	                                    .url = url,
	                                    .fields = fields,
	                                    .body = span_of(text),
	                                    .timeout_ms = TIMEOUT_MS,
	                                    .body_max = ANSWER_MAX,
	                                    .done = answered,
	                                    .arg = s};
	(void)http_call_start(a->http, &opts);
}

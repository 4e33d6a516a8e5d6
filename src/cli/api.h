// The command line as a client of the Managed Agents API: JSON requests to one base URL with one key.
#ifndef SALLYPORT_CLI_API_H
#define SALLYPORT_CLI_API_H

#include "base/err.h"
#include "base/json.h"
#include "net/http_client.h"
#include "net/loop.h"

struct api_sending;
struct config;

struct api {
	struct loop *loop;
	struct http_client *http;
	char *base_url;
	char *key_header;
	struct api_sending *sendings; // under way
};

// ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY, else what the configuration (which may be NULL) says.
MUST_USE struct result api_init(struct api *a, struct loop *l, const struct config *c, struct err *e);
void api_fini(struct api *a);

// `done` gets the answer's object (borrowed) on 200, else an error that holds the API's own
// message. `body` may be NULL and is borrowed. `arg` must outlive it, or api_fini is called first.
void api_send(struct api *a, const char *method, const char *path, const json_t *body,
              void (*done)(void *arg, const json_t *answer, const struct err *e), void *arg);

#endif

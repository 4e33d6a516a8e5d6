// One API request and how it is answered: JSON bodies, the error shape of managed-agents-api.md 1.5, query parameters.
//
// A request lives from router_handle until it is answered or given to an operation (op.h). Its client may go away at any time:
// then `x` is NULL and answering does nothing but free it.
#ifndef SALLYPORT_CONTROL_REQUEST_H
#define SALLYPORT_CONTROL_REQUEST_H

#include "base/json.h"
#include "base/random.h"
#include "control/auth.h"
#include "control/control_state.h"

#define REQUEST_SEGMENTS_MAX 8
#define REQUEST_QUERY_MAX 256
#define REQUEST_BODY_MAX (32 * 1024 * 1024)

struct request_param {
	char *name, *value; // decoded
};

struct request {
	struct control *c;
	struct http_exchange *x;
	char id[ID_MAX];                      // request-id
	struct credential who;                // a copy: the table may change while we wait
	char *segments[REQUEST_SEGMENTS_MAX]; // of the path, decoded: "v1", "sessions", …
	size_t n_segments;
	struct request_param query[REQUEST_QUERY_MAX];
	size_t n_query;
	json_t *body;            // the object sent, NULL when the route takes none
	const char *calls;       // static: the value of PROTOCOL_CALLS_FIELD on the answer, or NULL
	void (*gone)(void *arg); // told when the client goes away; the owner frees the request then or later
	void *gone_arg;
};

struct request *request_new(struct control *c, struct http_exchange *x);
void request_free(struct request *r);

// What a refusal holds beside kind and message of a struct err; zero: derived from the kind.
struct request_error {
	int status;
	const char *type; // error.type
	json_t *details;  // error.details; owned
	bool final;       // x-should-retry: false
};

// Each answers and frees the request (text and json are copied or taken).
void request_answer(struct request *r, struct span json_text);
void request_answer_json(struct request *r, json_t *json); // takes it
void request_refuse(struct request *r, const struct err *e,
                    const struct request_error *more); // `more` may be NULL; details taken
void request_refuse_kind(struct request *r, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

// The value of a query parameter, NULL when absent. Arrays: "types[]" is matched with and without brackets.
const char *request_param(const struct request *r, const char *name);
// The n-th value of an array parameter, NULL behind the last.
const char *request_param_nth(const struct request *r, const char *name, size_t n);
// A whole number within [min, max]; `dflt` when absent or empty, as official clients write null; ERR_INVALID names the
// parameter.
MUST_USE struct result request_param_int(const struct request *r, const char *name, int64_t min, int64_t max, int64_t dflt,
                                         int64_t *out, struct err *e);
MUST_USE struct result request_param_bool(const struct request *r, const char *name, bool dflt, bool *out, struct err *e);
// A time as microseconds; `dflt` when absent.
MUST_USE struct result request_param_time(const struct request *r, const char *name, int64_t dflt, int64_t *out, struct err *e);

// The body as an object; an empty body is an empty object when `optional`.
MUST_USE struct result request_parse_body(struct request *r, bool optional, struct err *e);

// A header of the request, copied onto the heap; NULL when absent or longer than `max` or not visible ASCII.
char *request_header(const struct request *r, const char *name, size_t max);

#endif

// Each role's unix socket, data_dir/run/ROLE.sock (mode 0600, the peer's uid must be ours or root's): one JSON object a line
// asks, one JSON object a line answers. For ps, kill, approve, metrics and readiness.
//
//	{"do":"ps"}  ->  {"ok":true,...}   or   {"ok":false,"error":"..."}
#ifndef SALLYPORT_NET_ADMIN_H
#define SALLYPORT_NET_ADMIN_H

#include "base/err.h"
#include "base/json.h"
#include "net/loop.h"

#define ADMIN_LINE_MAX ((size_t)1 << 20) // bytes of a request or an answer

struct admin_server;
struct admin_request;

// Binds the socket, replacing a stale one of a dead process; ERR_CONFLICT when a live process answers there. `handle` gets
// `verb` (the "do" member) and the whole request; it answers with admin_answer, now or later.
MUST_USE struct result admin_server_start(struct loop *l, const char *path,
                                          void (*handle)(void *arg, struct admin_request *r, struct span verb,
                                                         const json_t *request),
                                          void *arg, struct admin_server **out, struct err *e);
void admin_server_stop(struct admin_server **s); // unlinks the socket

// Takes `answer` (new reference). Exactly once for each request; the request is gone afterwards.
void admin_answer(struct admin_request *r, json_t *answer);
void admin_refuse(struct admin_request *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

// Asks and waits, blocking, for at most `timeout_ms`: for the command line. *answer is new. A refusal is an error that holds
// its text; ERR_UNREACHABLE when nobody listens.
MUST_USE struct result admin_call(const char *path, const json_t *request, uint64_t timeout_ms, json_t **answer, struct err *e);

#endif

// A session's sandbox as its clients see it: made when first asked for, found by the same name afterwards.
#ifndef SALLYPORT_SANDBOX_BOX_H
#define SALLYPORT_SANDBOX_BOX_H

#include "sandbox/boxes.h"
#include "sandbox/sandbox.h"

// Who waits for something; `done` is called once.
struct box_wait {
	struct box_wait *next;
	uint64_t client;
	uint32_t id;
	bool found;
};

struct box {
	struct box *next;
	struct boxes *all;
	char session[68];
	struct sandbox *sandbox; // NULL: waits for an older one's end, or is being removed
	struct loop_timer *retry;
	uint64_t deadline_ms;
	bool ready, ending, remove;
	uint32_t tools_id;
	struct box_wait *creating, *killing;
	struct loop_child *remover;
};

struct box *box_find(struct boxes *b, const char *session);
// The session's sandbox; the answer to (client, id) is sent when it takes programs.
void box_create(struct boxes *b, const char *session, uint64_t client, uint32_t id);
// Its end, and with `remove` its files'; answered when done. One that does not exist has ended.
void box_kill(struct boxes *b, const char *session, bool remove, uint64_t client, uint32_t id);

// As box_kill, with nobody to answer. May free the box before it returns.
void box_end(struct box *x);

// boxes.c: the answer to a client's request `id`, if that client is still there.
void boxes_answer(struct boxes *b, uint64_t client, uint32_t id, const struct err *e, bool found, int fd);
void boxes_exited(struct boxes *b, uint64_t client, uint32_t id, int code, int status, const struct err *e);

#endif

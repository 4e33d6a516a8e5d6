#include "tools/calls.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

static void free_call(struct call *call)
{
	fd_close(&call->input);
	fd_close(&call->text);
	free(call);
}

void calls_fini(struct calls *c)
{
	for (size_t i = 0; i < c->count; i++)
		free_call(c->list[i]);
	for (size_t i = 0; i < CALLS_FORGOTTEN_MAX; i++)
		free(c->forgotten[i]);
	memset(c, 0, sizeof(*c));
}

struct call *calls_find(struct calls *c, struct span id)
{
	for (size_t i = 0; i < c->count; i++)
		if (span_is(id, c->list[i]->id))
			return c->list[i];
	return NULL;
}

bool calls_was_forgotten(const struct calls *c, struct span id)
{
	for (size_t i = 0; i < CALLS_FORGOTTEN_MAX && c->forgotten[i] != NULL; i++)
		if (span_is(id, c->forgotten[i]))
			return true;
	return false;
}

struct call *calls_add(struct calls *c, const struct tools_request *r, int input)
{
	AUTO_FD int mine = input;
	struct call *call = NULL;
	if (c->count == CALLS_MAX || c->bytes >= CALLS_TEXT_MAX)
		return NULL;
	call = NEW(struct call);
	BUG_ON(r->id.len >= sizeof(call->id) || r->name.len >= sizeof(call->name));
	memcpy(call->id, r->id.data, r->id.len);
	memcpy(call->name, r->name.data, r->name.len);
	call->timeout_ms = r->timeout_ms;
	call->input = STEAL_FD(mine);
	call->text = -1;
	c->list[c->count++] = call;
	return call;
}

void calls_end(struct calls *c, struct call *call, int text, size_t size, bool is_error)
{
	BUG_ON(call->state == CALL_DONE);
	fd_close(&call->input);
	call->state = CALL_DONE;
	call->text = text;
	call->size = size;
	call->is_error = is_error;
	c->bytes += size;
}

void calls_forget(struct calls *c, struct call *call)
{
	char **slot = &c->forgotten[c->forgotten_next++ % CALLS_FORGOTTEN_MAX];
	free(*slot);
	*slot = mem_strdup(call->id);
	for (size_t i = 0; i < c->count; i++) {
		if (c->list[i] == call) {
			memmove(c->list + i, c->list + i + 1, (c->count - i - 1) * sizeof(struct call *));
			c->count--;
			break;
		}
	}
	c->bytes -= call->state == CALL_DONE ? call->size : 0;
	free_call(call);
}

struct call *calls_next(struct calls *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->list[i]->state == CALL_WAITING)
			return c->list[i];
	return NULL;
}

struct call *calls_next_wanted(struct calls *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->list[i]->state == CALL_DONE && c->list[i]->wanted)
			return c->list[i];
	return NULL;
}

// The calls the program knows: waiting, running, or ended with a result that is kept until the worker has it on disk.
#ifndef SALLYPORT_TOOLS_CALLS_H
#define SALLYPORT_TOOLS_CALLS_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "tools/tools.h"

#define CALLS_MAX 128                     // known at once
#define CALLS_TEXT_MAX ((size_t)64 << 20) // bytes of kept results
#define CALLS_FORGOTTEN_MAX 1024          // ids remembered after they were forgotten, so that they are not run again

enum call_state { CALL_WAITING, CALL_RUNNING, CALL_DONE };

struct call {
	char id[TOOLS_ID_MAX + 1];
	char name[33];
	uint64_t timeout_ms;
	enum call_state state;
	int input;   // memfd; -1 once it has ended
	int text;    // memfd; -1 before
	size_t size; // of the text
	bool is_error;
	bool wanted; // somebody waits for the result
};

struct calls {
	struct call *list[CALLS_MAX]; // in the order they came
	size_t count;
	size_t bytes;
	char *forgotten[CALLS_FORGOTTEN_MAX];
	size_t forgotten_next;
};

void calls_fini(struct calls *c);

// NULL when it is not known.
struct call *calls_find(struct calls *c, struct span id);
bool calls_was_forgotten(const struct calls *c, struct span id);

// A new waiting call, or NULL when too much is kept already. Takes `input`.
struct call *calls_add(struct calls *c, const struct tools_request *r, int input);

// The call's result. Takes `text`, `size` bytes.
void calls_end(struct calls *c, struct call *call, int text, size_t size, bool is_error);

void calls_forget(struct calls *c, struct call *call);

// The first that waits to be run, or NULL; and the first whose result is wanted and there, or NULL.
struct call *calls_next(struct calls *c);
struct call *calls_next_wanted(struct calls *c);

#endif

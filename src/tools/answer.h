// What a tool answers: the text the model will read, and whether it is an error.
#ifndef SALLYPORT_TOOLS_ANSWER_H
#define SALLYPORT_TOOLS_ANSWER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct answer {
	struct buf text;
	bool is_error;
};

void answer_init(struct answer *a);
void answer_fini(struct answer *a);

// Both replace what is there.
void answer_error(struct answer *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void answer_text(struct answer *a, struct span text);

// Makes the text what is posted: well-formed, of at most TOOLS_TEXT_MAX bytes, "(no output)" when there is none.
void answer_finish(struct answer *a);

// A file tool: its input (any JSON value) and where to put the answer.
typedef void answer_tool(const json_t *input, const char *workdir, struct answer *a);

#endif

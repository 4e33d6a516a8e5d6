// bash: what a call's input means for the session's shell, and what its outcome means for the model.
#ifndef SALLYPORT_TOOLS_BASH_TOOL_H
#define SALLYPORT_TOOLS_BASH_TOOL_H

#include "net/loop.h"
#include "tools/answer.h"

struct bash_tool;

// Where there is no network (`no_network`), a call that tried to use one is told so (network.h).
struct bash_tool *bash_tool_new(struct loop *l, const char *workdir, bool no_network);
void bash_tool_free(struct bash_tool *b); // kills the shell

// One call at a time. `done` is called once, possibly before this returns; the answer is borrowed. The call ends after
// `limit_ms` whatever its input says.
void bash_tool_run(struct bash_tool *b, const json_t *input, uint64_t limit_ms, void (*done)(void *arg, struct answer *a),
                   void *arg);

// Ends the running call without its callback, and the shell with it.
void bash_tool_cancel(struct bash_tool *b);

#endif

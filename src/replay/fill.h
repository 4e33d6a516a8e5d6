// Variables in a scenario's texts: "{{name}}" stands for what the scene takes out of the conversation under that name.
// Braces around anything but a word are left as they are.
#ifndef SALLYPORT_REPLAY_FILL_H
#define SALLYPORT_REPLAY_FILL_H

#include "replay/conversation.h"
#include "replay/scenario.h"

// The next "{{name}}" of *rest: *before gets what stands before it, *name the word, *rest what follows. Without one: false,
// everything in *before.
bool fill_next(struct span *rest, struct span *before, struct span *name);

// A copy of `say` with every variable in every string filled in. ERR_INVALID when a variable can't be found in the
// conversation, naming it. *out is new.
MUST_USE struct result fill(const struct scenario_scene *scene, const struct conversation *c, const json_t *say, json_t **out,
                            struct err *e);

#endif

// What control's admin socket answers: ready, ps, and the verbs of environment keys (keys.h).
#ifndef SALLYPORT_CONTROL_ADMIN_VERBS_H
#define SALLYPORT_CONTROL_ADMIN_VERBS_H

#include "net/admin.h"

// For admin_server_start; `arg` is the struct control.
void admin_verbs_handle(void *arg, struct admin_request *r, struct span verb, const json_t *request);

#endif

// From a request to its handler: credential, route, and whether the one may use the other.
#ifndef SALLYPORT_CONTROL_ROUTER_H
#define SALLYPORT_CONTROL_ROUTER_H

#include "net/http_server.h"

// For http_server_opts.handle; `arg` is the struct control.
void router_handle(void *arg, struct http_exchange *x);

#endif

// What the parts of control share.
#ifndef SALLYPORT_CONTROL_CONTROL_STATE_H
#define SALLYPORT_CONTROL_CONTROL_STATE_H

#include "base/config.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "store/store.h"

struct auth;
struct event_log;
struct op_line;
struct record;
struct stream_hub;
struct work_queue;

struct control {
	struct loop *loop;
	const struct config *cfg;
	struct store *store;
	struct record *record;    // the way to the recorder
	struct auth *auth;        // who may ask
	struct op_line *ops;      // changes under way, in the order of their commits
	struct event_log *log;    // the agent loop's side of sessions
	struct stream_hub *hub;   // open event streams
	struct work_queue *queue; // waiting pollers, timers of leases
	struct http_server *server;
	bool serving; // keys are loaded: until then requests are put off
};

#endif

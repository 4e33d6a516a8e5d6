// What the parts of a room share: making the sandbox (room.c), ending it (room_end.c), and the call in it (room_call.c).
#ifndef SALLYPORT_WORKER_ROOM_STATE_H
#define SALLYPORT_WORKER_ROOM_STATE_H

#include "tools/tools.h"
#include "worker/room.h"

enum room_state { ROOM_COLD, ROOM_RECORDING, ROOM_MAKING, ROOM_ATTACHING, ROOM_OPEN, ROOM_ENDING };

struct room_op { // the one call under way
	bool active, collect;
	bool sent, cancel, cancel_sent;
	unsigned int opened; // how often the sandbox was opened for it
	char id[TOOLS_ID_MAX + 1];
	char name[16];
	char *input;
	size_t input_len;
	uint64_t timeout_ms, began_ms;
	room_done *done;
	void *arg;
};

struct room_program {   // one start of the tools program; its end is told once
	struct room *x; // NULL when the room does not care any more
	struct rooms *owner;
	struct room_program *next;
};

struct room {
	struct rooms *owner;
	struct room *next;
	char *session;
	unsigned int holders;
	enum room_state state;
	char name[48]; // of this making of the sandbox, in the audit log
	struct provider_sandbox *sandbox;
	struct room_program *program; // started by this process; NULL: found, or none
	int channel;
	struct loop_fd *watch;
	struct audit_pending *recording, *recorded, *removing;
	struct loop_timer *retry, *guard, *keep;
	json_t *forget; // ids still to be told
	struct room_op op;
	char why[256]; // it is being ended because
	bool remove;   // with its /workspace
	void (*ended)(void *arg);
	void *ended_arg;
};

struct rooms {
	struct rooms_opts o;
	struct room *first;
	struct room_program *programs; // whose end was not told yet
};

// room.c: opens the sandbox for the call that waits; room_call_flush is called when it is open.
void room_open(struct room *x);
void room_close(struct room *x);       // its channel
void room_drop_unused(struct room *x); // frees it where nobody holds it and it has no sandbox

// room_end.c: ends the sandbox because of `why`; then room_call_lost is called, or the call that never reached it opens
// another.
void room_broken(struct room *x, const char *why);

// room_call.c
void room_call_flush(struct room *x);                                          // sends what waits
void room_call_ready(void *arg, uint32_t events);                              // the channel's descriptor is ready
void room_call_refuse(struct room *x, const char *fmt, ...) PRINTF_LIKE(2, 3); // nothing ran
void room_call_lost(struct room *x, const char *why);                          // the sandbox is gone
void room_call_fini(struct room *x);

#endif

// A SOCK_SEQPACKET socket between two processes of ours on the loop: whole messages, with descriptors.
#ifndef SALLYPORT_SANDBOX_WIRE_H
#define SALLYPORT_SANDBOX_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "net/loop.h"

#define WIRE_MESSAGE_MAX (192 * 1024)
#define WIRE_FDS_MAX 5
#define WIRE_QUEUE_MAX 512 // messages

struct wire;

// What is asked of the spawner and what it answers. `id` is the client's, echoed in the answer.
enum wire_kind {
	WIRE_HELLO = 1, // answer to connecting; payload: the spawner's report
	WIRE_CREATE,    // session
	WIRE_EXEC,   // session, argc, envc; payload: channel, cwd, argv, env; descriptors: stdin, stdout, stderr, the program
	WIRE_SIGNAL, // session, a: the exec's id, b: signal
	WIRE_ATTACH, // session; payload: channel
	WIRE_KILL,   // session, a: 1 removes its files
	WIRE_ANSWER, // a: enum err_kind, b: errno, payload: message; or a: 0, b: found, and for attach one descriptor
	WIRE_EXITED, // id of the exec, a: CLD_*, b: status
	WIRE_CLIENT, // from who started the spawner: one descriptor, a further client
};

struct wire_head {
	uint32_t kind;
	uint32_t id;
	uint32_t flags; // WIRE_EXEC: EXEC_* of init/abi.h
	uint32_t a, b;
	uint32_t argc, envc;
	char session[68];
};

// `fd` is owned. `message` may take descriptors by setting them to -1; the others are closed when it returns. `closed` is
// called once, when the other end is gone or has broken the protocol; the wire must then be freed, there or later.
struct wire *wire_new(struct loop *l, int fd, void (*message)(void *arg, const void *bytes, size_t n, int *fds, size_t n_fds),
                      void (*closed)(void *arg), void *arg);
void wire_free(struct wire *w); // from a callback too; nothing is called afterwards

// Sends the parts as one message, now or when there is room; descriptors are borrowed. False when the message or the queue is
// too large, or the other end is gone.
bool wire_send(struct wire *w, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds);

// Ends the connection for both sides: for one that does not keep up, so that it knows.
void wire_shutdown(struct wire *w);

// A connected pair, both close-on-exec, with room for the largest message.
MUST_USE struct result wire_pair(int fds[2], struct err *e);

// One message from a blocking socket, at most `timeout_ms`. The number of bytes; descriptors beyond one are closed.
MUST_USE struct result wire_receive(int fd, void *bytes, size_t cap, size_t *n, int timeout_ms, struct err *e);

#endif

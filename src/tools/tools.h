// The agent toolset, seen from outside the sandbox: the program that runs inside, and the worker's side of its channel.
//
// The program is started by the place (provider/provider.h) with one end of a SOCK_SEQPACKET pair as descriptor 3. One message
// is a compact JSON header of at most 4 KiB and, where there is bulk data, one sealed memfd (SCM_RIGHTS). Requests name a call
// by its event id; results are kept inside until they are forgotten, so that a worker that was restarted can still collect
// them, and a call whose id is known is never run twice. The connection has no state: who reads may get a result that its
// predecessor asked for, or the same result twice, and drops what it does not wait for.
//
// What comes back is hostile: it is checked here, byte for byte, before anything else sees it.
#ifndef SALLYPORT_TOOLS_TOOLS_H
#define SALLYPORT_TOOLS_TOOLS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define TOOLS_ID_MAX 128                   // bytes of a call's id: letters, digits, '_', '-', '.'
#define TOOLS_INPUT_MAX ((size_t)16 << 20) // bytes of a call's input
#define TOOLS_TEXT_MAX ((size_t)4 << 20)   // bytes of a result's text
#define TOOLS_TIMEOUT_MAX_MS ((uint64_t)86400000)

// A new sealed memfd that holds the executable, for provider_exec_opts.program_fd. Its arguments are the working directory
// and, where there is no network, "no-network": then a bash call that tried to get out is told why it can't. It wants
// descriptor 3, and as environment what bash shall have.
MUST_USE struct result tools_program_fd(int *fd, struct err *e);

enum tools_request_kind {
	TOOLS_CALL,    // run it (or, if its id is known, answer its result); answered by a result or a refusal
	TOOLS_COLLECT, // answered by the result when it is there, or by "unknown"
	TOOLS_FORGET,  // the result is safe elsewhere; not answered
	TOOLS_CANCEL,  // a running or waiting call ends as an error that says so; not answered itself
};

struct tools_request {
	enum tools_request_kind kind;
	struct span id;
	struct span name;    // TOOLS_CALL: bash, read, write, edit, glob or grep
	uint64_t timeout_ms; // TOOLS_CALL: 1 to TOOLS_TIMEOUT_MAX_MS; the call ends then whatever its input says
	struct span input;   // TOOLS_CALL: the call's input as JSON text
};

// Sends one request on the channel without blocking. *sent is false when the channel is full: watch EPOLLOUT and send it again.
// ERR_INVALID: the request is not one; ERR_UNREACHABLE: the program is gone; ERR_SYSTEM otherwise.
MUST_USE struct result tools_client_send(int channel, const struct tools_request *r, bool *sent, struct err *e);

enum tools_reply_kind {
	TOOLS_RESULT,
	TOOLS_UNKNOWN, // the program does not know the call: it never got it, or was told to forget it
	TOOLS_REFUSED, // the call was not started and is not known: `text` says why (too many are waiting, or an unknown tool)
};

struct tools_reply {
	enum tools_reply_kind kind;
	char id[TOOLS_ID_MAX + 1];
	bool is_error;
	struct buf text; // valid UTF-8 (it may hold NUL), never empty for a result: as it is to be posted
};

void tools_reply_init(struct tools_reply *r);
void tools_reply_fini(struct tools_reply *r);

// Receives one reply without blocking; *got is false when none is there. ERR_UNREACHABLE: the program is gone. ERR_INVALID:
// what came is not a reply; the channel is then not to be trusted any more, and the sandbox should be ended.
MUST_USE struct result tools_client_receive(int channel, struct tools_reply *r, bool *got, struct err *e);

// The part of tools_client_receive behind the socket. `bulk` is -1 or a descriptor that came along; it stays the caller's.
MUST_USE struct result tools_client_decode(struct span header, int bulk, struct tools_reply *r, struct err *e);

#endif

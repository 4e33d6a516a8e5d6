// What becomes of an entry: stamped, chained, written to the journal together with all that came in meanwhile, acknowledged,
// and within a second in a tile under a signed checkpoint.
#ifndef SALLYPORT_RECORDER_INTAKE_H
#define SALLYPORT_RECORDER_INTAKE_H

#include "audit/entry.h"
#include "net/loop.h"
#include "recorder/batch.h"
#include "recorder/seen.h"
#include "recorder/segments.h"
#include "recorder/tiler.h"

#define INTAKE_PUBLISH_MS 250 // from the first acknowledged entry to the next checkpoint's beginning
#define INTAKE_RETRY_MS 1000  // after a checkpoint could not be written

struct intake;

// What is taken up from disk. All of it is the intake's after intake_start.
struct intake_opts {
	const char *dir;
	const struct note_signer *signer;
	struct segments *segments;
	struct sidecar *sidecar;
	struct tiler *tiler; // its size is the checkpoint's
	struct writers writers;
	struct seen seen;
	// The loop's side of acknowledgements; called from the loop only. `e` NULL: entry `index` is on disk.
	// It must not call back into the intake nor drop a caller; `settled` follows, which may do both.
	void (*answered)(struct caller *caller, uint64_t id, uint64_t index, const struct err *e);
	void (*settled)(void *arg); // answers were given, or there is room again
	void *settled_arg;
};

struct intake *intake_start(struct loop *l, struct intake_opts *opts);
void intake_stop(struct intake **in); // waits for what is being written; nobody is answered any more

// What a caller is, as the kernel and its greeting tell.
struct intake_from {
	const char *role;
	uid_t uid;
	pid_t pid;
};

// The session's key for payloads' MACs. On failure the entry must be refused.
MUST_USE struct result intake_session_key(struct intake *in, struct span session, unsigned char key[HASH_LEN], struct err *e);

// Takes an entry, or refuses it at once; when taken, `answered` tells the rest. Must not be called while it is full.
MUST_USE struct result intake_take(struct intake *in, const struct intake_from *from, struct caller *caller, uint64_t id,
                                   const struct audit_entry *a, const struct entry_payload *arguments,
                                   const struct entry_payload *result, struct err *e);
bool intake_full(const struct intake *in);
void intake_flush(struct intake *in);                         // starts writing what was taken, unless a write is under way
void intake_forget(struct intake *in, struct caller *caller); // its answers are not wanted any more

// Once nothing is being written: publishes a last checkpoint, then calls `drained`. Nothing may be taken afterwards.
void intake_drain(struct intake *in, void (*drained)(void *arg), void *arg);

struct intake_state {
	uint64_t entries;   // taken and on disk
	uint64_t published; // of these, in the checkpoint
	bool writing_fails;
	char problem[512]; // why, or ""
};
void intake_tell(const struct intake *in, struct intake_state *out);

#endif

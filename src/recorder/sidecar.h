// The keys under which payloads' MACs are made: one for each session, each in a file of its own, sidecar/SESSION.key.
//
// Whoever removes such a file (stop the recorder first, or restart it after) has erased the session's payloads' MACs: nobody
// can test a guess against them any more, and the log still verifies. So the sidecar is no part of the log, and is not copied
// with it.
#ifndef SALLYPORT_RECORDER_SIDECAR_H
#define SALLYPORT_RECORDER_SIDECAR_H

#include "audit/hash.h"
#include "audit/submission.h"

#define SIDECAR_CACHED 1024
#define SIDECAR_NO_SESSION ".machine" // stands for entries without a session; no session's name begins with a dot

struct sidecar_key {
	char session[SUBMISSION_SESSION_MAX + 1];
	unsigned char key[HASH_LEN];
	bool stored; // its file is on disk
	bool used;   // lately
};

struct sidecar;

MUST_USE struct result sidecar_open(const char *dir, struct sidecar **out, struct err *e);
void sidecar_close(struct sidecar **s); // wipes the keys

// The session's key, from memory, from its file, or new. A new one is not on disk: `stored` is false until the caller has had
// it written by sidecar_store, and the session's entries must not be acknowledged before. The pointer lives as long as the
// sidecar; what it points to may be another session's after the next sidecar_get.
MUST_USE struct result sidecar_get(struct sidecar *s, struct span session, struct sidecar_key **out, struct err *e);

// Writes the file, synced; one that exists with the same key is fine. May be called from another thread, on a copy.
MUST_USE struct result sidecar_store(const char *dir, const struct sidecar_key *k, struct err *e);

// That this key is on disk now.
void sidecar_stored(struct sidecar *s, const struct sidecar_key *k);

#endif

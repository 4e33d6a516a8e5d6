// An entry of the log: one OCSF 1.9.0 event in canonical JSON (RFC 8785), with our own members under unmapped.perimeter.
#ifndef SALLYPORT_AUDIT_ENTRY_H
#define SALLYPORT_AUDIT_ENTRY_H

#include <sys/types.h>

#include "audit/audit.h"
#include "audit/hash.h"
#include "audit/tile.h"

#define ENTRY_MAX TILE_ENTRY_MAX
#define ENTRY_WRITER_MAX 48

// A payload as the log keeps it: its length and a MAC under the session's key. Nothing is kept of an empty one.
struct entry_payload {
	uint64_t len;
	struct hash mac;
};

// What the recorder puts to what a client says.
struct entry_stamp {
	const char *writer;      // "worker@1000": the role and the user, whose entries are numbered and chained
	uint64_t seq;            // 1, 2, 3 … for each writer
	const struct hash *prev; // SHA-256 of this writer's previous entry; NULL for its first
	const char *role;
	pid_t pid;
	const char *boot_id;
	int64_t time_ms; // UTC since the epoch
	struct entry_payload arguments, result;
};

// Appends the entry's bytes, at most ENTRY_MAX; nothing when it fails.
MUST_USE struct result entry_write(const struct audit_entry *a, const struct entry_stamp *s, struct buf *out, struct err *e);

// An entry as it is read back. Spans borrow from `json`, which entry_fini frees. Texts are what some client wrote: hostile.
struct entry {
	json_t *json;
	struct span uid, pair, operation, session, agent, actor, object, rule, reason, phase, writer, boot_id;
	uint64_t seq;
	bool has_prev;
	struct hash prev;
	int64_t time_ms;
	int64_t pid;
	bool denied, failed;
	uint64_t duration_us, args_len, result_len;
	struct span args_mac, result_mac; // hex, or empty
};

// ERR_CORRUPT when it is not an entry of ours. Members it does not know are ignored.
MUST_USE struct result entry_read(struct span bytes, struct entry *out, struct err *e);
void entry_fini(struct entry *e);

#endif

// A session and its primary thread as the API answers them (managed-agents-api.md 3.3).
#ifndef SALLYPORT_CONTROL_SESSION_TEXT_H
#define SALLYPORT_CONTROL_SESSION_TEXT_H

#include "base/buf.h"
#include "store/store.h"

// For a query over the table `sessions s`.
#define SESSION_TEXT_COLUMNS                                                                                         \
	"s.id, s.status, s.agent, s.environment, s.title, s.metadata, s.resources, s.input_tokens, s.output_tokens," \
	" s.cache_read, s.cache_creation, s.running_since, s.active_us, s.created_at, s.updated_at, s.archived_at, s.num"
#define SESSION_TEXT_NUM 16

MUST_USE bool session_text_put(struct buf *out, const struct store_row *row, int64_t now);
MUST_USE bool session_text_thread(struct buf *out, const struct store_row *row, int64_t now);

// The primary thread's id follows from the session's.
bool session_text_is_thread(const char *session, const char *thread);

#endif

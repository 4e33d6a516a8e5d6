// The database of control, and how positions in it are made.
#ifndef SALLYPORT_CONTROL_SCHEMA_H
#define SALLYPORT_CONTROL_SCHEMA_H

#include <stdint.h>

extern const char *const schema_migrations[];

// events.pos: the session's number above, the event's seq below, so that a session's events lie together in their order.
#define SCHEMA_SEQ_BITS 32
#define SCHEMA_SEQ_MAX ((INT64_C(1) << SCHEMA_SEQ_BITS) - 1)
static inline int64_t schema_pos(int64_t session_num, int64_t seq)
{
	return session_num << SCHEMA_SEQ_BITS | seq;
}
static inline int64_t schema_seq(int64_t pos)
{
	return pos & SCHEMA_SEQ_MAX;
}

#endif

// Events for operators, on stderr: an event name and key=value pairs, or one JSON object a line.
//
//	log_info("link.up", "relay=%s rtt_us=%u", name, rtt);
//
// Values that may hold spaces or hostile bytes go through LOG_Q(span) with "%s": quoted, controls escaped, cut at 120 bytes.
// An event name seen more than 20 times in a second is suppressed for the rest of it, and the count is told afterwards.
// Secrets have no printer: nothing here takes one.
#ifndef SALLYPORT_BASE_LOG_H
#define SALLYPORT_BASE_LOG_H

#include "base/err.h"
#include "base/span.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

// `role` (static storage) stands in every line. Called once, before the first event; the default is INFO, text.
void log_init(const char *role, enum log_level level, enum log_format format);

void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#define LOG_QUOTED_LEN 512
const char *log_quote(struct span s, char out[LOG_QUOTED_LEN]);
#define LOG_Q(s) log_quote((s), (char[LOG_QUOTED_LEN]){0})

#endif

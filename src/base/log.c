#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define BURST 20      // lines of one event a second
#define REMEMBERED 64 // event names whose rate is watched

static const char *role_ = "sallyport";
static enum log_level level_ = LOG_LEVEL_INFO;
static enum log_format format_ = LOG_FORMAT_TEXT;

void log_init(const char *role, enum log_level level, enum log_format format)
{
	role_ = role;
	level_ = level;
	format_ = format;
}

const char *log_quote(struct span s, char out[LOG_QUOTED_LEN])
{
	size_t n = 0;
	out[n++] = '"';
	for (size_t i = 0; i < s.len && i < 120; i++) {
		unsigned char c = (unsigned char)s.data[i];
		if (c == '"' || c == '\\')
			n += (size_t)snprintf(out + n, LOG_QUOTED_LEN - n, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			n += (size_t)snprintf(out + n, LOG_QUOTED_LEN - n, "\\x%02x", c);
		else
			out[n++] = (char)c;
	}
	snprintf(out + n, LOG_QUOTED_LEN - n, "%s\"", s.len > 120 ? "..." : "");
	return out;
}

struct rate {
	const char *event;
	uint64_t second;
	unsigned count;
};

// How many lines of this event were held back before this one, or -1 to hold this one back too.
static int admit(const char *event)
{
	static _Thread_local struct rate seen[REMEMBERED];
	static _Thread_local unsigned next;
	uint64_t second = clock_mono_ms() / 1000;
	struct rate *r = NULL;
	for (unsigned i = 0; i < REMEMBERED && r == NULL; i++) {
		if (seen[i].event == event)
			r = &seen[i];
	}
	if (r == NULL) {
		r = &seen[next++ % REMEMBERED];
		*r = (struct rate){event, second, 0};
	}
	int held = 0;
	if (r->second != second) {
		held = r->count > BURST ? (int)(r->count - BURST) : 0;
		r->second = second;
		r->count = 0;
	}
	return ++r->count > BURST ? -1 : held;
}

// A line is one line, and text: what is no UTF-8 becomes '?', and where the format has no escapes so does a control.
static void clean_text(char *s, bool controls_too)
{
	for (size_t at = 0, len = strlen(s); at < len;) {
		size_t n = span_utf8_len(span_from(s + at, len - at));
		if (n == 0 || (controls_too && ((unsigned char)s[at] < 0x20 || s[at] == 0x7f)))
			s[at] = '?';
		at += n == 0 ? 1 : n;
	}
}

// Appends `s` as the inside of a JSON string.
static size_t json_escape(char *out, size_t cap, const char *s)
{
	size_t n = 0;
	for (; *s != '\0' && n + 8 < cap; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			n += (size_t)snprintf(out + n, cap - n, "\\%c", c);
		else if (c < 0x20)
			n += (size_t)snprintf(out + n, cap - n, "\\u%04x", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
	return n;
}

static void write_all(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(STDERR_FILENO, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return;
		p += w;
		n -= (size_t)w;
	}
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	if (level > level_)
		return;
	int held = admit(event);
	if (held < 0)
		return;
	int saved = errno;
	char text[1024], line[2400], when[CLOCK_RFC3339_LEN];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clean_text(text, format_ == LOG_FORMAT_TEXT);
	clock_format(clock_utc_us(), when);
	int n;
	if (format_ == LOG_FORMAT_JSON) {
		char escaped[2048];
		json_escape(escaped, sizeof(escaped), text);
		n = snprintf(line, sizeof(line),
		             "{\"time\":\"%s\",\"level\":\"%s\",\"role\":\"%s\",\"event\":\"%s\",\"text\":\"%s\",\"held_back\":"
		             "%d}\n",
		             when, names[level], role_, event, escaped, held);
	} else if (held > 0) {
		n = snprintf(line, sizeof(line), "%s %-5s %s %s %s held_back=%d\n", when, names[level], role_, event, text,
		             held);
	} else {
		n = snprintf(line, sizeof(line), "%s %-5s %s %s %s\n", when, names[level], role_, event, text);
	}
	write_all(line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
	errno = saved;
}

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

#undef err_set
#undef err_sys
#undef err_prefix

// Messages quote input, cut anywhere. They end in JSON, logs and terminals, so what is no text in them becomes '?'.
static struct result finish(struct err *e)
{
	for (size_t at = 0, len = strlen(e->msg); at < len;) {
		char c = e->msg[at];
		size_t n = span_utf8_len(span_from(e->msg + at, len - at));
		if (n == 0 || ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			e->msg[at] = '?';
		at += n == 0 ? 1 : n;
	}
	return FAIL;
}

struct result err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	if (e == NULL)
		return FAIL;
	e->kind = kind;
	e->sys = 0;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return finish(e);
}

struct result err_sys(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	if (e == NULL)
		return FAIL;
	e->kind = ERR_SYSTEM;
	e->sys = saved;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	size_t used = strlen(e->msg);
	snprintf(e->msg + used, sizeof(e->msg) - used, ": %s", strerror(saved));
	return finish(e);
}

struct result err_prefix(struct err *e, const char *fmt, ...)
{
	if (e == NULL)
		return FAIL;
	char old[sizeof(e->msg)];
	memcpy(old, e->msg, sizeof(old));
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	size_t used = strlen(e->msg);
	snprintf(e->msg + used, sizeof(e->msg) - used, ": %s", old);
	return finish(e);
}

int err_exit_code(enum err_kind kind)
{
	switch (kind) {
	case ERR_NONE:
		return 0;
	case ERR_MISUSED:
		return 2;
	case ERR_DENIED:
	case ERR_UNAUTHENTICATED:
		return 3;
	case ERR_UNREACHABLE:
		return 4;
	default:
		return 1;
	}
}

void bug_abort(const char *file, int line, const char *cond)
{
	fprintf(stderr, "sallyport: bug at %s:%d: %s\n", file, line, cond);
	abort();
}

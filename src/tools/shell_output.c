#include "tools/shell_output.h"

#include <string.h>

#include "base/encode.h"
#include "base/random.h"

// At most three bytes make one code unit, so this tail always holds more than SHELL_OUTPUT_UNITS of them.
#define KEEP ((size_t)3 * SHELL_OUTPUT_UNITS + 4096)
#define MOST (3 * KEEP)

void shell_output_init(struct shell_output *o)
{
	memset(o, 0, sizeof(*o));
	buf_init(&o->bytes, MOST);
}

void shell_output_fini(struct shell_output *o)
{
	buf_fini(&o->bytes);
}

void shell_output_begin(struct shell_output *o)
{
	unsigned char nonce[16];
	char text[ENCODE_BASE64_LEN(sizeof(nonce))];
	random_bytes(nonce, sizeof(nonce));
	encode_base64url(nonce, sizeof(nonce), text);
	memcpy(o->marker, "__SP_", 5);
	memcpy(o->marker + 5, text, 22);
	memcpy(o->marker + 27, "_", 2);
	buf_clear(&o->bytes);
	o->scanned = 0;
	o->dropped = o->complete = false;
}

char *shell_output_reserve(struct shell_output *o, size_t n)
{
	if (buf_len(&o->bytes) + n > MOST) {
		size_t excess = buf_len(&o->bytes) - KEEP;
		buf_consume(&o->bytes, excess);
		o->scanned = o->scanned > excess ? o->scanned - excess : 0;
		o->dropped = true;
	}
	char *to = buf_reserve(&o->bytes, n);
	BUG_ON(to == NULL);
	return to;
}

// A marker must stand at a line's start and be followed by a number and a newline: under `set -x` bash also prints the command
// that prints it. 1: it is one; 0: it is not; -1: more bytes must come before that can be told.
static int marker_end(struct span text, const char *hit, int *code)
{
	struct span rest = span_skip(text, (size_t)(hit - text.data) + SHELL_MARKER_LEN);
	if (hit == text.data || hit[-1] != '\n')
		return 0;
	size_t digits = 0;
	*code = 0;
	while (digits < rest.len && digits < 3 && rest.data[digits] >= '0' && rest.data[digits] <= '9')
		*code = *code * 10 + (rest.data[digits++] - '0');
	if (digits == rest.len)
		return -1;
	return digits > 0 && rest.data[digits] == '\n';
}

static void scan(struct shell_output *o)
{
	struct span text = buf_span(&o->bytes);
	for (;;) {
		struct span rest = span_skip(text, o->scanned);
		const char *hit = rest.len < SHELL_MARKER_LEN ? NULL : memmem(rest.data, rest.len, o->marker, SHELL_MARKER_LEN);
		if (hit == NULL)
			break;
		size_t at = (size_t)(hit - text.data);
		int is = marker_end(text, hit, &o->exit_code);
		if (is < 0)
			return;
		if (is > 0) {
			o->complete = true;
			o->end = at - 1;
			return;
		}
		o->scanned = at + 1;
	}
	if (text.len >= SHELL_MARKER_LEN && o->scanned < text.len - SHELL_MARKER_LEN + 1)
		o->scanned = text.len - SHELL_MARKER_LEN + 1;
}

void shell_output_commit(struct shell_output *o, size_t n, bool keep)
{
	if (!keep || o->complete)
		return;
	buf_commit(&o->bytes, n);
	scan(o);
}

bool shell_output_complete(const struct shell_output *o)
{
	return o->complete;
}

// Under `set -x` the last line before the marker shows our printf: it is not the command's.
static struct span without_trace(const struct shell_output *o, struct span text)
{
	const char *hit = text.len < SHELL_MARKER_LEN ? NULL : memmem(text.data, text.len, o->marker, SHELL_MARKER_LEN);
	if (hit == NULL)
		return text;
	const char *line = memrchr(text.data, '\n', (size_t)(hit - text.data));
	return span_head(text, line == NULL ? 0 : (size_t)(line - text.data) + 1);
}

void shell_output_take(const struct shell_output *o, struct shell_outcome *out)
{
	out->exit_code = o->exit_code;
	out->truncated = o->dropped;
	out->output = without_trace(o, span_head(buf_span(&o->bytes), o->end));
}

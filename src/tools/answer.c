#include "tools/answer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "tools/text.h"
#include "tools/tools.h"

// Room for an input's path to appear in a message, and for U+FFFD in place of single bytes; answer_finish cuts to what may
// leave.
#define ANSWER_MAX (4 * TOOLS_INPUT_MAX)

void answer_init(struct answer *a)
{
	buf_init(&a->text, ANSWER_MAX);
	a->is_error = false;
}

void answer_fini(struct answer *a)
{
	buf_fini(&a->text);
}

void answer_error(struct answer *a, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	answer_text(a, span_from(text, (size_t)n));
	free(text);
	a->is_error = true;
}

void answer_text(struct answer *a, struct span text)
{
	buf_clear(&a->text);
	a->is_error = false;
	BUG_ON(!buf_add(&a->text, text));
}

void answer_finish(struct answer *a)
{
	if (!span_is_utf8(buf_span(&a->text))) {
		struct buf fixed;
		buf_init(&fixed, a->text.max * 3);
		BUG_ON(!text_decode(buf_span(&a->text), &fixed));
		fixed.max = a->text.max;
		buf_fini(&a->text);
		a->text = fixed;
	}
	if (buf_len(&a->text) > TOOLS_TEXT_MAX) {
		static const char note[] = "\n[cut]";
		size_t keep = TOOLS_TEXT_MAX - sizeof(note);
		while (keep > 0 && ((unsigned char)a->text.mem[a->text.start + keep] & 0xC0) == 0x80)
			keep--;
		a->text.end = a->text.start + keep;
		BUG_ON(!buf_add_str(&a->text, note));
	}
	if (buf_len(&a->text) == 0)
		BUG_ON(!buf_add_str(&a->text, "(no output)"));
}

// The recorder's frames, in pieces that the input's first byte chooses, and the submissions in them.
#include <stdint.h>

#include "audit/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct result on_text(void *arg, const struct frame *f, struct span text, struct err *e)
{
	struct audit_entry a;
	json_t *hold;
	(void)arg;
	BUG_ON(text.len != f->text_len);
	if (failed(submission_read(text, &hold, &a, e)))
		return OK;
	BUG_ON(a.uid.len == 0 || a.session.len > SUBMISSION_SESSION_MAX || (a.session.len > 0 && a.session.data[0] == '.') ||
	       (a.session.len > 0 && memchr(a.session.data, '/', a.session.len) != NULL));
	struct buf again;
	buf_init(&again, SUBMISSION_MAX);
	BUG_ON(failed(submission_write(&a, &again, e)));
	buf_fini(&again);
	json_decref(hold);
	return OK;
}

static struct result on_payload(void *arg, bool is_result, struct span piece, struct err *e)
{
	(void)arg;
	(void)is_result;
	(void)e;
	BUG_ON(piece.len == 0);
	return OK;
}

static struct result on_end(void *arg, const struct frame *f, struct err *e)
{
	(void)e;
	(void)f;
	++*(unsigned *)arg;
	return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct frame_events on = {on_text, on_payload, on_end};
	struct frame_reader r;
	struct err e;
	unsigned frames = 0;
	if (size == 0)
		return 0;
	size_t step = (size_t)data[0] + 1;
	struct span rest = span_from((const char *)data + 1, size - 1);
	frame_reader_init(&r);
	while (rest.len > 0) {
		struct span piece = span_head(rest, step);
		size_t taken;
		if (failed(frame_feed(&r, piece, &on, &frames, NULL, &taken, &e)))
			break;
		BUG_ON(taken != piece.len);
		rest = span_skip(rest, piece.len);
	}
	frame_reader_fini(&r);
	return 0;
}

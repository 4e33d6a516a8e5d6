#include "net/sse.h"

#include "base/mem.h"

#define FIELD_ROOM 16 // for a field's name in front of its value

void sse_decoder_init(struct sse_decoder *d, size_t frame_max)
{
	*d = (struct sse_decoder){0};
	buf_init(&d->line, frame_max + FIELD_ROOM);
	buf_init(&d->data, frame_max);
	buf_init(&d->event, frame_max);
}

void sse_decoder_fini(struct sse_decoder *d)
{
	buf_fini(&d->line);
	buf_fini(&d->data);
	buf_fini(&d->event);
}

static struct result too_large(const struct sse_decoder *d, struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "an event of the stream is larger than %zu bytes", d->data.max);
}

// A blank line: the event is complete. The decoder is already set for the next one when the callback runs, and is not touched
// after one that returned false, so the callback may free it.
static bool dispatch(struct sse_decoder *d, bool (*on_event)(void *arg, struct span name, struct span data), void *arg)
{
	struct buf event = d->event, data = d->data;
	bool any = d->saw_any;
	buf_init(&d->event, event.max);
	buf_init(&d->data, data.max);
	d->saw_any = false;
	if (any && !on_event(arg, buf_span(&event), buf_span(&data))) {
		buf_fini(&event);
		buf_fini(&data);
		return false;
	}
	// Their memory serves the next event.
	buf_clear(&event);
	buf_clear(&data);
	d->event = event;
	d->data = data;
	return true;
}

static struct result take_field(struct sse_decoder *d, struct span line, struct err *e)
{
	struct span name, value;
	span_cut(line, ':', &name, &value);
	if (value.len > 0 && value.data[0] == ' ')
		value = span_skip(value, 1);
	bool fits = true;
	if (span_is(name, "data")) {
		fits = (!d->saw_any || buf_add_str(&d->data, "\n")) && buf_add(&d->data, value);
		d->saw_any = true;
	} else if (span_is(name, "event")) {
		buf_clear(&d->event);
		fits = buf_add(&d->event, value);
	}
	return fits ? OK : too_large(d, e);
}

// The bytes up to the next CR or LF.
static size_t line_part(struct span bytes)
{
	size_t n = 0;
	while (n < bytes.len && bytes.data[n] != '\n' && bytes.data[n] != '\r')
		n++;
	return n;
}

struct result sse_decoder_feed(struct sse_decoder *d, struct span bytes,
                               bool (*on_event)(void *arg, struct span name, struct span data), void *arg, struct err *e)
{
	while (bytes.len > 0) {
		if (d->saw_cr && bytes.data[0] == '\n')
			bytes = span_skip(bytes, 1);
		d->saw_cr = false;
		size_t n = line_part(bytes);
		if (!buf_add(&d->line, span_head(bytes, n)))
			return too_large(d, e);
		if (n == bytes.len)
			return OK;
		d->saw_cr = bytes.data[n] == '\r';
		bytes = span_skip(bytes, n + 1);

		struct span line = buf_span(&d->line);
		if (!d->started && span_starts(line, "\xef\xbb\xbf"))
			line = span_skip(line, 3);
		d->started = true;
		bool blank = line.len == 0;
		if (!blank)
			TRY(take_field(d, line, e));
		buf_clear(&d->line);
		if (blank && !dispatch(d, on_event, arg))
			return OK;
	}
	return OK;
}

bool sse_encode(struct buf *out, const char *name, struct span data)
{
	BUG_ON(data.len > 0 && (memchr(data.data, '\n', data.len) != NULL || memchr(data.data, '\r', data.len) != NULL));
	struct span n = span_of(name);
	// All or nothing.
	if (buf_reserve(out, n.len + data.len + sizeof("event: \ndata: \n\n") - 1) == NULL)
		return false;
	return buf_add_str(out, "event: ") && buf_add(out, n) && buf_add_str(out, "\ndata: ") && buf_add(out, data) &&
	       buf_add_str(out, "\n\n");
}

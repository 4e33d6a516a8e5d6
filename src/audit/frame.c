#include "audit/frame.h"

#include <endian.h>

static void put32(unsigned char *to, uint32_t v)
{
	v = htobe32(v);
	memcpy(to, &v, 4);
}

static uint32_t get32(const unsigned char *from)
{
	uint32_t v;
	memcpy(&v, from, 4);
	return be32toh(v);
}

bool frame_put(struct buf *out, const struct frame *f)
{
	unsigned char h[FRAME_HEADER] = {(unsigned char)f->type, (unsigned char)f->kind};
	put32(h + 4, f->text_len);
	put32(h + 8, (uint32_t)(f->id >> 32));
	put32(h + 12, (uint32_t)f->id);
	put32(h + 16, f->args_len);
	put32(h + 20, f->result_len);
	return buf_add(out, span_from((const char *)h, sizeof(h)));
}

bool frame_put_text(struct buf *out, enum frame_type type, enum err_kind kind, uint64_t id, struct span text)
{
	if (buf_reserve(out, FRAME_HEADER + text.len) == NULL)
		return false;
	struct frame f = {.type = type, .kind = kind, .id = id, .text_len = (uint32_t)text.len};
	return frame_put(out, &f) && buf_add(out, text);
}

void frame_reader_init(struct frame_reader *r)
{
	*r = (struct frame_reader){0};
	buf_init(&r->text, FRAME_TEXT_MAX);
}

void frame_reader_fini(struct frame_reader *r)
{
	buf_fini(&r->text);
}

static bool type_known(unsigned char type)
{
	return type == FRAME_HELLO || type == FRAME_ENTRY || type == FRAME_WELCOME || type == FRAME_STORED ||
	       type == FRAME_REFUSED || type == FRAME_ERROR;
}

static struct result parse_header(struct frame_reader *r, struct err *e)
{
	const unsigned char *h = r->header;
	if (!type_known(h[0]) || h[1] > ERR_SYSTEM || h[2] != 0 || h[3] != 0)
		return err_set(e, ERR_INVALID, "audit frame: unknown type %u", h[0]);
	r->f = (struct frame){.type = (enum frame_type)h[0],
	                      .kind = (enum err_kind)h[1],
	                      .text_len = get32(h + 4),
	                      .id = (uint64_t)get32(h + 8) << 32 | get32(h + 12),
	                      .args_len = get32(h + 16),
	                      .result_len = get32(h + 20)};
	if (r->f.text_len > FRAME_TEXT_MAX || r->f.args_len > FRAME_PAYLOAD_MAX || r->f.result_len > FRAME_PAYLOAD_MAX)
		return err_set(e, ERR_TOO_LARGE, "audit frame: text up to %d and payloads up to %u bytes are taken",
		               FRAME_TEXT_MAX, FRAME_PAYLOAD_MAX);
	if (r->f.type != FRAME_ENTRY && (r->f.args_len != 0 || r->f.result_len != 0))
		return err_set(e, ERR_INVALID, "audit frame: only an entry has payloads");
	r->args_left = r->f.args_len;
	r->result_left = r->f.result_len;
	r->text_told = false;
	buf_clear(&r->text);
	return OK;
}

// Takes what belongs to the header or the text; returns how much.
static size_t take_head(struct frame_reader *r, struct span bytes)
{
	if (r->have < FRAME_HEADER) {
		struct span part = span_head(bytes, FRAME_HEADER - r->have);
		memcpy(r->header + r->have, part.data, part.len);
		r->have += part.len;
		return part.len;
	}
	struct span part = span_head(bytes, r->f.text_len - buf_len(&r->text));
	BUG_ON(!buf_add(&r->text, part));
	return part.len;
}

static struct result take_payload(struct frame_reader *r, struct span bytes, const struct frame_events *on, void *arg,
                                  size_t *taken, struct err *e)
{
	bool is_result = r->args_left == 0;
	uint64_t *left = is_result ? &r->result_left : &r->args_left;
	struct span part = span_head(bytes, *left);
	*left -= part.len;
	*taken = part.len;
	return on->payload == NULL ? OK : on->payload(arg, is_result, part, e);
}

// What can be told without further bytes.
static struct result tell(struct frame_reader *r, const struct frame_events *on, void *arg, bool *ended, struct err *e)
{
	if (r->have < FRAME_HEADER || buf_len(&r->text) < r->f.text_len)
		return OK;
	if (!r->text_told) {
		r->text_told = true;
		TRY(on->text(arg, &r->f, buf_span(&r->text), e));
	}
	if (r->args_left > 0 || r->result_left > 0)
		return OK;
	r->have = 0;
	*ended = true;
	return on->end(arg, &r->f, e);
}

struct result frame_feed(struct frame_reader *r, struct span bytes, const struct frame_events *on, void *arg, const bool *pause,
                         size_t *taken, struct err *e)
{
	*taken = 0;
	while (*taken < bytes.len) {
		struct span rest = span_skip(bytes, *taken);
		size_t n = 0;
		bool ended = false, in_header = r->have < FRAME_HEADER;
		if (r->text_told && !in_header)
			TRY(take_payload(r, rest, on, arg, &n, e));
		else
			n = take_head(r, rest);
		*taken += n;
		if (in_header && r->have == FRAME_HEADER)
			TRY(parse_header(r, e));
		TRY(tell(r, on, arg, &ended, e));
		if (ended && pause != NULL && *pause)
			return OK;
	}
	return OK;
}

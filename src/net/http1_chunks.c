// Chunked bodies, byte by byte but for the data (RFC 9112 section 7.1).
#include "net/http1.h"

#define EXTENSION_MAX 1024 // bytes of one size line
#define TRAILERS_MAX 8192  // bytes of all trailers together

enum state {
	SIZE_FIRST, // zero: where a fresh decoder begins
	SIZE,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_FIRST,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	ENDED,
};

static int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(unsigned char c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

static bool is_token(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

// After the digits of a size: what may follow them.
static int end_size(unsigned char c)
{
	return c == '\r' ? SIZE_LF : c == ';' ? EXTENSION : -1;
}

static int in_size(struct http1_chunks *c, unsigned char byte)
{
	int digit = hex_value(byte);
	if (digit < 0)
		return c->state == SIZE_FIRST ? -1 : end_size(byte);
	if (c->state == SIZE_FIRST)
		c->left = c->line = 0;
	if (++c->line > 16)
		return -1;
	c->left = c->left << 4 | (unsigned)digit;
	return SIZE;
}

static int in_trailer(struct http1_chunks *c, unsigned char byte)
{
	if (++c->line > TRAILERS_MAX)
		return -1;
	switch (c->state) {
	case TRAILER_FIRST:
		return byte == '\r' ? END_LF : is_token(byte) ? TRAILER_NAME : -1;
	case TRAILER_NAME:
		return byte == ':' ? TRAILER_VALUE : is_token(byte) ? TRAILER_NAME : -1;
	default:
		return byte == '\r' ? TRAILER_LF : is_text(byte) ? TRAILER_VALUE : -1;
	}
}

// The state after `byte`, or -1.
static int step(struct http1_chunks *c, unsigned char byte)
{
	switch (c->state) {
	case SIZE_FIRST:
	case SIZE:
		return in_size(c, byte);
	case EXTENSION:
		return byte == '\r' ? SIZE_LF : is_text(byte) && ++c->line <= EXTENSION_MAX ? EXTENSION : -1;
	case SIZE_LF:
		c->line = 0;
		return byte != '\n' ? -1 : c->left > 0 ? DATA : TRAILER_FIRST;
	case DATA_CR:
		return byte == '\r' ? DATA_LF : -1;
	case DATA_LF:
		return byte == '\n' ? SIZE_FIRST : -1;
	case TRAILER_LF:
		return byte == '\n' ? TRAILER_FIRST : -1;
	case END_LF:
		return byte == '\n' ? ENDED : -1;
	default:
		return in_trailer(c, byte);
	}
}

static enum http1_progress too_large(const struct buf *out, struct err *e)
{
	err_set(e, ERR_TOO_LARGE, "the body is larger than %zu bytes", out->max);
	return HTTP1_BAD;
}

enum http1_progress http1_chunks_decode(struct http1_chunks *c, struct buf *in, struct buf *out, struct err *e)
{
	while (buf_len(in) > 0 && c->state != ENDED) {
		struct span bytes = buf_span(in);
		if (c->state == DATA) {
			size_t n = c->left < bytes.len ? (size_t)c->left : bytes.len;
			if (!buf_add(out, span_head(bytes, n)))
				return too_large(out, e);
			buf_consume(in, n);
			c->left -= n;
			c->state = c->left == 0 ? DATA_CR : DATA;
			continue;
		}
		int next = step(c, (unsigned char)bytes.data[0]);
		if (next < 0) {
			err_set(e, ERR_INVALID, "malformed chunked body");
			return HTTP1_BAD;
		}
		buf_consume(in, 1);
		c->state = next;
		if (next == DATA && c->left > out->max - buf_len(out))
			return too_large(out, e);
	}
	return c->state == ENDED ? HTTP1_DONE : HTTP1_MORE;
}

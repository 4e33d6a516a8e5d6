#include "net/http1.h"

#include <stdio.h>

#define LINE_MAX_BYTES 16384 // of a request line: longer targets get 414
#define METHOD_MAX 32

// RFC 9110 section 5.6.2.
static const bool token_char[256] = {
        ['!'] = true,         ['#' ... '\''] = true, ['*'] = true,         ['+'] = true, ['-'] = true, ['.'] = true,
        ['0' ... '9'] = true, ['A' ... 'Z'] = true,  ['^' ... 'z'] = true, ['|'] = true, ['~'] = true,
};

// RFC 9110 section 5.5: HTAB, SP, visible ASCII and obs-text.
static const bool value_char[256] = {['\t'] = true, [' ' ... '~'] = true, [0x80 ... 0xff] = true};

// What a Host may hold (RFC 3986: unreserved, sub-delims, escapes, brackets, the port's colon).
static const bool host_char[256] = {
        ['!'] = true, ['$'] = true,         ['%' ... '.'] = true, ['0' ... '9'] = true, [':'] = true,         [';'] = true,
        ['='] = true, ['A' ... '['] = true, [']'] = true,         ['_'] = true,         ['a' ... 'z'] = true, ['~'] = true,
};

static bool all_of(struct span s, const bool set[256])
{
	for (size_t i = 0; i < s.len; i++) {
		if (!set[(unsigned char)s.data[i]])
			return false;
	}
	return true;
}

struct refusal {
	int *status;
	struct err *e;
};

static enum http1_progress refuse(struct refusal r, int status, const char *why)
{
	*r.status = status;
	err_set(r.e, ERR_INVALID, "malformed HTTP request: %s", why);
	return HTTP1_BAD;
}

// The line at the start of *in, without its CRLF; *in moves past it. HTTP1_MORE when its end is not there yet.
static enum http1_progress take_line(struct span *in, struct span *line, struct refusal r)
{
	const char *lf = in->len == 0 ? NULL : memchr(in->data, '\n', in->len);
	if (lf == NULL)
		return HTTP1_MORE;
	size_t n = (size_t)(lf - in->data);
	if (n == 0 || in->data[n - 1] != '\r')
		return refuse(r, 400, "a line ends without CR");
	*line = span_head(*in, n - 1);
	*in = span_skip(*in, n + 1);
	return HTTP1_DONE;
}

static enum http1_progress parse_version(struct span v, struct http1_request *q, struct refusal r)
{
	if (span_is(v, "HTTP/1.1") || span_is(v, "HTTP/1.0")) {
		q->minor = v.data[7] - '0';
		return HTTP1_DONE;
	}
	bool other = v.len == 8 && span_starts(v, "HTTP/") && v.data[6] == '.';
	return other ? refuse(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
	             : refuse(r, 400, "the request line must be METHOD TARGET HTTP/1.1");
}

static enum http1_progress parse_request_line(struct span line, struct http1_request *q, struct refusal r)
{
	struct span rest, version;
	if (!span_cut(line, ' ', &q->method, &rest) || !span_cut(rest, ' ', &q->target, &version))
		return refuse(r, 400, "the request line must be METHOD TARGET HTTP/1.1");
	if (q->method.len == 0 || !all_of(q->method, token_char))
		return refuse(r, 400, "the method is not a token");
	if (q->method.len > METHOD_MAX)
		return refuse(r, 501, "unknown method");
	if (q->target.len == 0)
		return refuse(r, 400, "the target is empty");
	for (size_t i = 0; i < q->target.len; i++) {
		unsigned char c = (unsigned char)q->target.data[i];
		if (c <= ' ' || c >= 0x7f || c == '#')
			return refuse(r, 400, "the target holds a character that must be percent-encoded");
	}
	return parse_version(version, q, r);
}

static enum http1_progress parse_connection(struct span value, bool *close, bool *keep)
{
	struct span item;
	bool more = true;
	while (more) {
		more = span_cut(value, ',', &item, &value);
		item = span_trim(item);
		*close |= span_is_nocase(item, "close");
		*keep |= span_is_nocase(item, "keep-alive");
	}
	return HTTP1_DONE;
}

struct seen {
	bool host, te, close, keep;
	struct span host_value;
};

static enum http1_progress note_field(const struct http1_field *f, struct http1_request *q, struct seen *seen, struct refusal r)
{
	if (span_is_nocase(f->name, "host")) {
		if (seen->host)
			return refuse(r, 400, "two Host fields");
		if (!all_of(f->value, host_char))
			return refuse(r, 400, "Host is not a host and port");
		seen->host = true;
		seen->host_value = f->value;
	} else if (span_is_nocase(f->name, "content-length")) {
		if (q->has_length)
			return refuse(r, 400, "two Content-Length fields");
		if (failed(span_to_u64(f->value, INT64_MAX, "Content-Length", &q->length, NULL)))
			return refuse(r, 400, "Content-Length is not a number");
		q->has_length = true;
	} else if (span_is_nocase(f->name, "transfer-encoding")) {
		if (seen->te)
			return refuse(r, 400, "two Transfer-Encoding fields");
		if (!span_is_nocase(f->value, "chunked"))
			return refuse(r, 501, "the only Transfer-Encoding taken is chunked");
		seen->te = q->chunked = true;
	} else if (span_is_nocase(f->name, "connection")) {
		return parse_connection(f->value, &seen->close, &seen->keep);
	} else if (span_is_nocase(f->name, "expect")) {
		q->expect_continue = span_is_nocase(f->value, "100-continue");
	}
	return HTTP1_DONE;
}

static enum http1_progress parse_field(struct span line, struct http1_request *q, struct seen *seen, struct refusal r)
{
	if (q->n_fields == HTTP1_FIELDS_MAX)
		return refuse(r, 431, "more than 100 header fields");
	struct http1_field *f = &q->fields[q->n_fields];
	if (line.data[0] == ' ' || line.data[0] == '\t')
		return refuse(r, 400, "a header field is folded over lines");
	if (!span_cut(line, ':', &f->name, &f->value) || f->name.len == 0 || !all_of(f->name, token_char))
		return refuse(r, 400, "a header line is not NAME: VALUE");
	if (!all_of(f->value, value_char))
		return refuse(r, 400, "a header field holds a control character");
	f->value = span_trim(f->value);
	q->n_fields++;
	return note_field(f, q, seen, r);
}

// Splits the target. The absolute form (RFC 9112 section 3.2.2) must name the authority that Host names.
static enum http1_progress split_target(struct http1_request *q, const struct seen *seen, struct refusal r)
{
	struct span t = q->target;
	if (t.data[0] != '/') {
		size_t scheme = span_is_nocase(span_head(t, 7), "http://")    ? 7
		                : span_is_nocase(span_head(t, 8), "https://") ? 8
		                                                              : 0;
		if (scheme == 0)
			return refuse(r, 400, "the target must be a path that begins with '/'");
		t = span_skip(t, scheme);
		size_t n = 0;
		while (n < t.len && t.data[n] != '/' && t.data[n] != '?')
			n++;
		struct span authority = span_head(t, n);
		bool same = authority.len > 0 && authority.len == seen->host_value.len &&
		            strncasecmp(authority.data, seen->host_value.data, n) == 0;
		if (!same)
			return refuse(r, 400, "the target names another host than Host");
		t = span_skip(t, n);
	}
	span_cut(t, '?', &q->path, &q->query);
	if (q->path.len == 0)
		q->path = SPAN_LIT("/");
	return HTTP1_DONE;
}

static enum http1_progress check_whole(struct http1_request *q, const struct seen *seen, struct refusal r)
{
	if (!seen->host && q->minor == 1)
		return refuse(r, 400, "HTTP/1.1 needs a Host field");
	if (q->chunked && q->has_length)
		return refuse(r, 400, "Content-Length together with Transfer-Encoding");
	if (q->chunked && q->minor == 0)
		return refuse(r, 400, "Transfer-Encoding in HTTP/1.0");
	q->keep_alive = !seen->close && (q->minor == 1 || seen->keep);
	q->expect_continue = q->expect_continue && q->minor == 1;
	return split_target(q, seen, r);
}

// What an unfinished head may already be refused for.
static enum http1_progress judge_partial(struct span in, struct span rest, bool have_line, struct refusal r)
{
	size_t i = 0;
	while (!have_line && i < rest.len && token_char[(unsigned char)rest.data[i]])
		i++;
	bool crlf_to_come = rest.len == 1 && rest.data[0] == '\r';
	if (!have_line && i < rest.len && (i == 0 || rest.data[i] != ' ') && !crlf_to_come)
		return refuse(r, 400, "it does not begin with a method");
	if (!have_line && rest.len > LINE_MAX_BYTES)
		return refuse(r, 414, "the request line is too long");
	return in.len >= HTTP1_HEAD_MAX ? refuse(r, 431, "the header is larger than 32768 bytes") : HTTP1_MORE;
}

enum http1_progress http1_parse_request(struct span in, struct http1_request *q, size_t *used, int *status, struct err *e)
{
	struct refusal r = {status, e};
	struct span rest = span_head(in, HTTP1_HEAD_MAX), line;
	struct seen seen = {0};
	// Everything but the fields, which n_fields counts and which are 3 KiB.
	memset(q, 0, offsetof(struct http1_request, fields));
	q->n_fields = 0;
	q->chunked = q->has_length = q->keep_alive = q->expect_continue = false;
	q->length = 0;
	if (span_starts(rest, "\r\n")) // RFC 9112 section 2.2 asks to ignore one
		rest = span_skip(rest, 2);
	enum http1_progress p = take_line(&rest, &line, r);
	if (p == HTTP1_MORE)
		return judge_partial(in, rest, false, r);
	if (p == HTTP1_DONE && line.len > LINE_MAX_BYTES)
		return refuse(r, 414, "the request line is too long");
	if (p == HTTP1_DONE)
		p = parse_request_line(line, q, r);
	while (p == HTTP1_DONE) {
		p = take_line(&rest, &line, r);
		if (p == HTTP1_MORE)
			return judge_partial(in, rest, true, r);
		if (p == HTTP1_DONE && line.len == 0)
			break;
		if (p == HTTP1_DONE)
			p = parse_field(line, q, &seen, r);
	}
	if (p == HTTP1_BAD)
		return p;
	*used = (size_t)(rest.data - in.data);
	return check_whole(q, &seen, r);
}

struct span http1_field_get(const struct http1_request *r, const char *name)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		if (span_is_nocase(r->fields[i].name, name))
			return r->fields[i].value;
	}
	return (struct span){"", 0};
}

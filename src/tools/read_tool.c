// read: a whole file, or a range of its lines.
#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tools/file_tools.h"
#include "tools/js.h"
#include "tools/path.h"

// Numbers stay doubles: [1.5, 2] is a range too, and must select what JavaScript selects.
struct range {
	bool given;
	const json_t *start, *end; // as they came, for messages
	double first;              // lines before it are left out (0-based)
	double last;               // lines from it on are left out; infinity: none
};

static bool parse_range(const json_t *v, struct range *r, struct answer *a)
{
	size_t n = json_is_array(v) ? json_array_size(v) : 0;
	*r = (struct range){.given = n > 0};
	if (n != 0 && n != 2) {
		answer_error(a, "read: view_range must be [start_line, end_line]");
		return false;
	}
	if (n == 0)
		return true;
	r->start = json_array_get(v, 0);
	r->end = json_array_get(v, 1);
	r->first = js_number(r->start) - 1;
	if (r->first < 0) // NaN stays NaN, as Math.max has it
		r->first = 0;
	double end = js_number(r->end);
	r->last = end > 0 ? end : INFINITY;
	return true;
}

// Array.prototype.slice: bounds lose their fraction, NaN is 0.
static double slice_bound(double d)
{
	return isnan(d) ? 0 : trunc(d);
}

static void answer_lines(struct span text, const struct range *r, struct answer *a)
{
	double first = slice_bound(r->first), last = slice_bound(r->last);
	struct span rest = text;
	const char *from = NULL, *to = NULL;
	bool more = true;
	for (uint64_t line = 0; more && (double)line < last; line++) {
		struct span head;
		more = span_cut(rest, '\n', &head, &rest);
		if ((double)line < first)
			continue;
		if (from == NULL)
			from = head.data;
		to = head.data + head.len;
	}
	answer_text(a, from == NULL ? (struct span){0} : span_from(from, (size_t)(to - from)));
}

static void range_too_large(const struct range *r, const char *given, struct answer *a)
{
	if (r->last - r->first == 1) {
		AUTO_BUF struct buf line;
		buf_init(&line, 1024);
		AUTO_JSON json_t *number = json_real(r->first + 1);
		js_string(number, &line);
		answer_error(a,
		             "read: line %s of %s alone exceeds %d-byte limit. "
		             "The read tool cannot return part of a line, so view_range cannot narrow this further.",
		             buf_str(&line), given, FILE_TOOLS_MAX_BYTES);
		return;
	}
	AUTO_BUF struct buf both;
	buf_init(&both, (size_t)64 << 20);
	js_string(r->start, &both);
	BUG_ON(!buf_add_str(&both, ", "));
	js_string(r->end, &both);
	answer_error(a,
	             "read: view_range [%s] of %s exceeds %d-byte limit. "
	             "Narrow the view_range to read a smaller portion.",
	             buf_str(&both), given, FILE_TOOLS_MAX_BYTES);
}

// Collects the range's bytes from consecutive pieces of the file. False when they pass the limit.
struct collector {
	const struct range *range;
	double line;
	struct buf *out;
};

static bool collect(struct collector *c, struct span piece)
{
	while (piece.len > 0 && c->line < c->range->last) {
		struct span head, rest;
		bool ended = span_cut(piece, '\n', &head, &rest);
		if (c->line >= c->range->first) {
			if (!buf_add(c->out, head) || (ended && c->line + 1 < c->range->last && !buf_add_str(c->out, "\n")))
				return false;
		}
		if (!ended)
			break;
		c->line++;
		piece = rest;
	}
	return true;
}

// The file is larger than the limit, so it is read in pieces and only the range is kept.
static void answer_range(int fd, const struct range *r, const char *given, struct answer *a)
{
	AUTO_BUF struct buf out;
	buf_init(&out, FILE_TOOLS_MAX_BYTES);
	struct collector c = {r, 0, &out};
	AUTO_FREE char *piece = mem_alloc(65536);
	while (r->last > r->first && c.line < r->last) {
		ssize_t n = read(fd, piece, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return path_answer(a, "read", given, errno);
		if (n == 0)
			break;
		if (!collect(&c, span_from(piece, (size_t)n)))
			return range_too_large(r, given, a);
	}
	answer_text(a, buf_span(&out));
}

static void answer_whole(int fd, off_t size, const struct range *r, const char *given, struct answer *a)
{
	AUTO_BUF struct buf content;
	buf_init(&content, FILE_TOOLS_MAX_BYTES + 1);
	int error = file_tools_read(fd, FILE_TOOLS_MAX_BYTES + 1, &content);
	if (error != 0)
		return path_answer(a, "read", given, error);
	if (buf_len(&content) > FILE_TOOLS_MAX_BYTES && size <= FILE_TOOLS_MAX_BYTES)
		size = FILE_TOOLS_MAX_BYTES + 1; // it grew after its size was taken
	if (size > FILE_TOOLS_MAX_BYTES)
		return answer_error(a,
		                    "read: %s is %lld bytes, exceeds %d-byte limit. Use the view_range parameter to read "
		                    "specific line ranges, e.g. view_range: [1, 500].",
		                    given, (long long)size, FILE_TOOLS_MAX_BYTES);
	if (r->given)
		answer_lines(buf_span(&content), r, a);
	else
		answer_text(a, buf_span(&content));
}

void read_tool(const json_t *input, const char *workdir, struct answer *a)
{
	const json_t *path = json_object_get(input, "file_path");
	struct range range;
	off_t size = 0;
	if (!js_truthy(path))
		return answer_error(a, "read: file_path is required");
	AUTO_FREE char *abs = path_confine(path, workdir, a);
	if (abs == NULL || !parse_range(json_object_get(input, "view_range"), &range, a))
		return;
	const char *given = json_string_value(path);
	AUTO_FD int fd = file_tools_open(abs, "read", given, &size, a);
	if (fd < 0)
		return;
	if (size > FILE_TOOLS_MAX_BYTES && range.given)
		answer_range(fd, &range, given, a);
	else
		answer_whole(fd, size, &range, given, a);
}

// A request's head: what is taken lies inside the input, means the same alone, and was unfinished one byte before.
#include <stddef.h>
#include <stdint.h>

#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct span s, struct span in)
{
	BUG_ON(s.len > 0 && (s.data < in.data || s.data + s.len > in.data + in.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1_request q, again;
	struct span in = {(const char *)data, size};
	struct err e = {0};
	size_t used = 0;
	int status = 0;
	enum http1_progress p = http1_parse_request(in, &q, &used, &status, &e);
	BUG_ON(p == HTTP1_BAD && (status < 400 || e.kind != ERR_INVALID));
	BUG_ON(p == HTTP1_MORE && size >= HTTP1_HEAD_MAX);
	if (p != HTTP1_DONE)
		return 0;
	BUG_ON(used > size || used > HTTP1_HEAD_MAX || (q.chunked && q.has_length));
	in = span_head(in, used);
	check_inside(q.method, in);
	check_inside(q.target, in);
	check_inside(q.query, in);
	BUG_ON(q.path.len == 0 || q.path.data[0] != '/');
	for (size_t i = 0; i < q.n_fields; i++) {
		check_inside(q.fields[i].name, in);
		check_inside(q.fields[i].value, in);
	}
	size_t used_again;
	BUG_ON(http1_parse_request(in, &again, &used_again, &status, &e) != HTTP1_DONE || used_again != used);
	BUG_ON(again.n_fields != q.n_fields || again.length != q.length || again.keep_alive != q.keep_alive);
	BUG_ON(http1_parse_request(span_head(in, used - 1), &again, &used_again, &status, &e) != HTTP1_MORE);
	return 0;
}

#include "control/page.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/mem.h"

#define CURSOR_MAX 160
#define PAGE_BYTES (16 * 1024 * 1024) // a page of large items ends early: a reader of the next goes on there

static struct result bad_cursor(struct err *e)
{
	return err_set(e, ERR_INVALID, "page: not a cursor of this list; take next_page of the answer before");
}

static struct result parse_cursor(struct page *p, const char *text, struct err *e)
{
	char raw[CURSOR_MAX];
	size_t n = 0;
	if (strlen(text) > CURSOR_MAX || failed(decode_base64(span_of(text), raw, &n, NULL)) || n < 3)
		return bad_cursor(e);
	struct span number, id;
	uint64_t at = 0;
	if ((raw[0] != 'n' && raw[0] != 'p') || !span_cut(span_from(raw + 1, n - 1), ':', &number, &id) ||
	    id.len >= PAGE_ID_MAX || failed(span_to_u64(number, INT64_MAX, "page", &at, NULL)))
		return bad_cursor(e);
	p->backward = raw[0] == 'p';
	p->from_start = false;
	p->at = (int64_t)at;
	memcpy(p->id, id.data, id.len);
	return OK;
}

struct result page_parse(struct page *p, const struct request *r, int64_t limit_default, int64_t limit_max, bool ordered,
                         bool ascending, struct err *e)
{
	memset(p, 0, sizeof(*p));
	p->from_start = true;
	p->ascending = ascending;
	TRY(request_param_int(r, "limit", 1, limit_max, limit_default, &p->limit, e));
	const char *order = ordered ? request_param(r, "order") : NULL;
	if (order != NULL) {
		p->ascending = strcmp(order, "asc") == 0;
		if (!p->ascending && strcmp(order, "desc") != 0)
			return err_set(e, ERR_INVALID, "order: must be asc or desc");
	}
	const char *cursor = request_param(r, "page");
	return cursor == NULL || cursor[0] == '\0' ? OK : parse_cursor(p, cursor, e);
}

bool page_reads_up(const struct page *p)
{
	return p->ascending != p->backward;
}

bool page_begin(struct page *p, struct buf *out)
{
	p->out = out;
	return buf_add_str(out, "{\"data\":[");
}

bool page_item(struct page *p, int64_t at, struct span id)
{
	if (p->n == p->limit || (p->n > 0 && buf_len(p->out) > PAGE_BYTES)) {
		p->more = true;
		return false;
	}
	size_t n = id.len < PAGE_ID_MAX - 1 ? id.len : PAGE_ID_MAX - 1;
	if (p->n == 0) {
		p->first_at = at;
		memcpy(p->first_id, id.data, n);
	}
	memcpy(p->last_id, id.data, n);
	p->last_id[n] = '\0';
	p->last = at;
	return p->n++ == 0 || buf_add_str(p->out, ",");
}

static bool add_cursor(struct buf *out, const char *name, bool there, char direction, int64_t at, const char *id)
{
	if (!there)
		return buf_printf(out, ",\"%s\":null", name);
	char raw[CURSOR_MAX], text[ENCODE_BASE64_LEN(CURSOR_MAX)];
	int n = snprintf(raw, sizeof(raw), "%c%lld:%s", direction, (long long)at, id);
	encode_base64url(raw, (size_t)n, text);
	return buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

bool page_end(struct page *p, bool both)
{
	// Read backward, `more` tells of what stands before the page, and what came after it is where the cursor was.
	bool next = p->backward ? p->n > 0 : p->more;
	bool prev = p->backward ? p->more : !p->from_start && p->n > 0;
	int64_t next_at = p->backward ? p->first_at : p->last, prev_at = p->backward ? p->last : p->first_at;
	const char *next_id = p->backward ? p->first_id : p->last_id, *prev_id = p->backward ? p->last_id : p->first_id;
	return buf_add_str(p->out, "]") && add_cursor(p->out, "next_page", next, 'n', next_at, next_id) &&
	       (!both || add_cursor(p->out, "prev_page", prev, 'p', prev_at, prev_id)) && buf_add_str(p->out, "}");
}

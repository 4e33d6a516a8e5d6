// Cursor pages (managed-agents-api.md 1.6): what is asked for, where it goes on, and the answer's frame.
//
// A cursor is opaque to clients: base64url of a direction, a number and an id. It names a place in the order, not a snapshot.
#ifndef SALLYPORT_CONTROL_PAGE_H
#define SALLYPORT_CONTROL_PAGE_H

#include "base/buf.h"
#include "control/request.h"

#define PAGE_ID_MAX 80 // what a list keeps beside the number in its cursors

struct page {
	int64_t limit;
	bool ascending;  // the list's order
	bool backward;   // the cursor asks for what stands before it
	bool from_start; // no cursor
	int64_t at;      // the cursor's place
	char id[PAGE_ID_MAX];

	// While the answer is written.
	struct buf *out;
	int64_t n; // items written
	bool more; // there is one more than `limit`
	int64_t last, first_at;
	char last_id[PAGE_ID_MAX], first_id[PAGE_ID_MAX];
};

// Reads `limit`, `page` and, with `ordered`, `order`. ERR_INVALID names the parameter.
MUST_USE struct result page_parse(struct page *p, const struct request *r, int64_t limit_default, int64_t limit_max,
                                  bool ordered, bool ascending, struct err *e);

// True when rows must be read in ascending order of the place.
bool page_reads_up(const struct page *p);

// Begins {"data":[ in `out`.
MUST_USE bool page_begin(struct page *p, struct buf *out);
// Before each item's text, with its place; false when the page is full (`limit` items, or 16 MiB): stop then.
bool page_item(struct page *p, int64_t at, struct span id);
// Ends it with next_page (and prev_page when `both`).
MUST_USE bool page_end(struct page *p, bool both);

#endif

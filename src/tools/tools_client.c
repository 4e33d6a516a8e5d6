// The worker's side of the channel. Requests are ours and checked for our own mistakes; replies come out of a sandbox.
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "tools/tools.h"
#include "tools/wire.h"

struct result tools_client_send(int channel, const struct tools_request *r, bool *sent, struct err *e)
{
	*sent = false;
	AUTO_BUF struct buf header;
	buf_init(&header, WIRE_HEADER_MAX);
	TRY(wire_request_encode(r, &header, e));
	AUTO_FD int bulk = -1;
	if (r->kind == TOOLS_CALL)
		TRY(wire_bulk_make("tool-input", r->input, &bulk, e));
	return wire_post(channel, buf_span(&header), bulk, sent, e);
}

void tools_reply_init(struct tools_reply *r)
{
	memset(r, 0, sizeof(*r));
	buf_init(&r->text, TOOLS_TEXT_MAX);
}

void tools_reply_fini(struct tools_reply *r)
{
	buf_fini(&r->text);
}

static struct result reply_kind(struct span word, enum tools_reply_kind *kind, struct err *e)
{
	if (span_is(word, "result"))
		*kind = TOOLS_RESULT;
	else if (span_is(word, "unknown"))
		*kind = TOOLS_UNKNOWN;
	else if (span_is(word, "refused"))
		*kind = TOOLS_REFUSED;
	else
		return err_set(e, ERR_INVALID, "reply: \"do\" is not a known word");
	return OK;
}

static struct result read_text(int bulk, struct tools_reply *r, struct err *e)
{
	TRY(wire_bulk_read(bulk, &r->text, e));
	if (!span_is_utf8(buf_span(&r->text)))
		return err_set(e, ERR_INVALID, "reply: the text is not UTF-8");
	if (buf_len(&r->text) == 0)
		return err_set(e, ERR_INVALID, "reply: the text is empty");
	return OK;
}

struct result tools_client_decode(struct span header, int bulk, struct tools_reply *r, struct err *e)
{
	AUTO_JSON json_t *o = NULL;
	struct span word, id;
	buf_clear(&r->text);
	TRY(json_parse_object(header, "reply", &o, e));
	TRY(json_get_string(o, "reply", "do", &word, e));
	TRY(reply_kind(word, &r->kind, e));
	TRY(json_get_string(o, "reply", "id", &id, e));
	if (!wire_id_valid(id))
		return err_set(e, ERR_INVALID, "reply: \"id\" is not a call's id");
	memcpy(r->id, id.data, id.len);
	r->id[id.len] = '\0';
	size_t members = 2;
	r->is_error = false;
	if (r->kind == TOOLS_RESULT) {
		const json_t *flag = json_object_get(o, "is_error");
		if (!json_is_boolean(flag))
			return err_set(e, ERR_INVALID, "reply: \"is_error\" must be true or false");
		r->is_error = json_is_true(flag);
		members = 3;
	}
	if (json_object_size(o) != members)
		return err_set(e, ERR_INVALID, "reply: it has members that no reply has");
	bool wants_text = r->kind != TOOLS_UNKNOWN;
	if (wants_text != (bulk >= 0))
		return err_set(e, ERR_INVALID, "reply: a \"%.*s\" %s", SPAN_FMT(word),
		               wants_text ? "comes with its text in a memfd" : "comes without a descriptor");
	return wants_text ? read_text(bulk, r, e) : OK;
}

struct result tools_client_receive(int channel, struct tools_reply *r, bool *got, struct err *e)
{
	char header[WIRE_HEADER_MAX];
	size_t len;
	AUTO_FD int bulk = -1;
	enum wire_got what;
	*got = false;
	TRY(wire_take(channel, header, &len, &bulk, &what, e));
	if (what == WIRE_END)
		return err_set(e, ERR_UNREACHABLE, "the sandbox's tools program has ended");
	if (what == WIRE_NONE)
		return OK;
	TRY(tools_client_decode(span_from(header, len), bulk, r, e));
	*got = true;
	return OK;
}

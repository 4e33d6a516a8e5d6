#include "audit/checkpoint.h"

#include <inttypes.h>

struct result checkpoint_sign(const struct checkpoint *c, const struct note_signer *s, struct buf *out, struct err *e)
{
	char root[HASH_BASE64_LEN];
	char text[NOTE_NAME_MAX + 128];
	hash_base64(&c->root, root);
	int n = snprintf(text, sizeof(text), "%s\n%" PRIu64 "\n%s\n", s->v.name, c->size, root);
	BUG_ON(n < 0 || (size_t)n >= sizeof(text));
	return note_sign(s, span_from(text, (size_t)n), out, e);
}

static struct result parse_text(struct span text, const char *origin, struct checkpoint *out, struct err *e)
{
	struct span line[3];
	for (size_t i = 0; i < 3; i++) {
		if (!span_cut(text, '\n', &line[i], &text))
			return err_set(e, ERR_INVALID, "a checkpoint has three lines: origin, size, root");
	}
	if (!span_is(line[0], origin))
		return err_set(e, ERR_CORRUPT, "the checkpoint is of another log than %s", origin);
	if (line[1].len > 1 && line[1].data[0] == '0')
		return err_set(e, ERR_INVALID, "the checkpoint's size has a leading zero");
	TRY(span_to_u64(line[1], INT64_MAX, "the checkpoint's size", &out->size, e));
	TRY(hash_from_base64(line[2], &out->root, e));
	while (text.len > 0) {
		span_cut(text, '\n', &line[0], &text);
		if (line[0].len == 0)
			return err_set(e, ERR_INVALID, "the checkpoint has an empty line");
	}
	return OK;
}

struct result checkpoint_open(struct span note, const struct note_verifier *v, struct checkpoint *out, struct err *e)
{
	struct span text;
	TRY(note_open(note, v, &text, e));
	return parse_text(text, v->name, out, e);
}

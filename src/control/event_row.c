#include "control/event_row.h"

#include "base/clock.h"

char *event_row_body(const json_t *ev, const char *id, const char *type, size_t *len)
{
	AUTO_JSON json_t *whole = json_pack("{s:s, s:s}", "id", id, "type", type);
	const char *name;
	json_t *value;
	json_object_foreach ((json_t *)ev, name, value) {
		if (strcmp(name, "kept") != 0 && strcmp(name, "processed_at") != 0 && json_object_get(whole, name) == NULL)
			json_object_set(whole, name, value);
	}
	char *text = json_text(whole, len);
	text[--*len] = '\0';
	return text;
}

bool event_row_text(struct buf *out, struct span body, int64_t processed_at)
{
	if (processed_at == 0)
		return buf_add(out, body) && buf_add_str(out, ",\"processed_at\":null}");
	char at[CLOCK_RFC3339_LEN];
	clock_format(processed_at, at);
	return buf_add(out, body) && buf_add_str(out, ",\"processed_at\":\"") && buf_add_str(out, at) &&
	       buf_add_str(out, "\"}");
}

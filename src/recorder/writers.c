#include "recorder/writers.h"

#include <inttypes.h>
#include <limits.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

static const char *const roles[] = {"control", "worker", "spawner", "egress",   "relay", "gateway",
                                    "up",      "cli",    "replay",  "recorder", "test"};

bool writers_role_known(struct span role)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		if (span_is(role, roles[i]))
			return true;
	}
	return false;
}

void writers_name(struct span role, uid_t uid, char out[ENTRY_WRITER_MAX])
{
	int n = snprintf(out, ENTRY_WRITER_MAX, "%.*s@%u", SPAN_FMT(role), (unsigned)uid);
	BUG_ON(n < 0 || n >= ENTRY_WRITER_MAX);
}

struct writer *writers_get(struct writers *ws, const char *name)
{
	for (size_t i = 0; i < ws->n; i++) {
		if (strcmp(ws->w[i].name, name) == 0)
			return &ws->w[i];
	}
	if (ws->n == WRITERS_MAX || strlen(name) >= ENTRY_WRITER_MAX)
		return NULL;
	struct writer *w = &ws->w[ws->n++];
	*w = (struct writer){0};
	memcpy(w->name, name, strlen(name) + 1);
	return w;
}

struct result writers_follow(struct writers *ws, const struct entry *entry, struct span bytes, struct err *e)
{
	AUTO_FREE char *name = span_dup(entry->writer);
	struct writer *w = writers_get(ws, name);
	if (w == NULL)
		return err_set(e, ERR_CORRUPT, "the log has more than %d writers", WRITERS_MAX);
	if (entry->seq != w->seq + 1 || entry->has_prev != (w->seq > 0) ||
	    (entry->has_prev && !hash_eq(&entry->prev, &w->last)))
		return err_set(e, ERR_CORRUPT, "writer %s: entry %" PRIu64 " does not follow its entry %" PRIu64,
		               LOG_Q(entry->writer), entry->seq, w->seq);
	w->seq = entry->seq;
	w->last = hash_sha256(bytes);
	return OK;
}

static struct result parse(struct writers *ws, struct span text, uint64_t *size, struct err *e)
{
	AUTO_JSON json_t *j = NULL;
	json_t *list, *item;
	int64_t n;
	size_t i;
	TRY(json_parse_object(text, "writers", &j, e));
	TRY(json_get_int(j, "", "size", &n, e));
	TRY(json_get_array(j, "", "writers", &list, e));
	if (n < 0)
		return err_set(e, ERR_INVALID, "writers: a negative size");
	json_array_foreach (list, i, item) {
		struct span name, last;
		int64_t seq;
		TRY(json_get_string(item, "writers", "name", &name, e));
		TRY(json_get_string(item, "writers", "last", &last, e));
		TRY(json_get_int(item, "writers", "seq", &seq, e));
		AUTO_FREE char *copy = span_dup(name);
		struct writer *w = writers_get(ws, copy);
		if (w == NULL || seq < 1)
			return err_set(e, ERR_INVALID, "writers: out of range");
		w->seq = (uint64_t)seq;
		TRY(hash_from_hex(last, &w->last, e));
	}
	*size = (uint64_t)n;
	return OK;
}

void writers_load(struct writers *ws, const char *dir, uint64_t *size)
{
	char path[PATH_MAX];
	AUTO_BUF struct buf text;
	buf_init(&text, 65536);
	snprintf(path, sizeof(path), "%s/writers", dir);
	*size = 0;
	ws->n = 0;
	if (failed(file_read(path, &text, NULL)) || failed(parse(ws, buf_span(&text), size, NULL))) {
		*size = 0;
		ws->n = 0;
	}
}

struct result writers_save(const struct writers *ws, const char *dir, uint64_t size, struct err *e)
{
	char path[PATH_MAX], hex[HASH_HEX_LEN];
	AUTO_JSON json_t *j = json_object();
	json_t *list = json_array();
	for (size_t i = 0; i < ws->n; i++) {
		if (ws->w[i].seq == 0)
			continue;
		json_t *item = json_object();
		hash_hex(&ws->w[i].last, hex);
		json_object_set_new(item, "name", json_string(ws->w[i].name));
		json_object_set_new(item, "seq", json_integer((json_int_t)ws->w[i].seq));
		json_object_set_new(item, "last", json_string(hex));
		json_array_append_new(list, item);
	}
	json_object_set_new(j, "size", json_integer((json_int_t)size));
	json_object_set_new(j, "writers", list);
	size_t n;
	AUTO_FREE char *text = json_text(j, &n);
	snprintf(path, sizeof(path), "%s/writers", dir);
	return file_write_atomic(path, span_from(text, n), 0600, e);
}

#include "recorder/sidecar.h"

#include <limits.h>

#include "audit/idmap.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"

struct sidecar {
	char *dir;
	struct idmap map; // session → place
	struct sidecar_key keys[SIDECAR_CACHED];
	size_t n;
	size_t hand; // of the clock that picks whom to drop from memory
};

struct result sidecar_open(const char *dir, struct sidecar **out, struct err *e)
{
	AUTO_FREE char *path = mem_printf("%s/sidecar", dir);
	TRY(file_mkdirs(path, 0700, e));
	TRY(file_remove_leftovers(path, e)); // one may hold a key that somebody means to erase
	struct sidecar *s = NEW(struct sidecar);
	s->dir = mem_strdup(dir);
	idmap_init(&s->map);
	*out = s;
	return OK;
}

void sidecar_close(struct sidecar **s)
{
	if (*s == NULL)
		return;
	mem_wipe((*s)->keys, sizeof((*s)->keys));
	idmap_fini(&(*s)->map);
	free((*s)->dir);
	free(*s);
	*s = NULL;
}

// A place that may be overwritten: never one whose key is not on disk yet.
static struct sidecar_key *free_place(struct sidecar *s)
{
	if (s->n < SIDECAR_CACHED)
		return &s->keys[s->n++];
	for (size_t i = 0; i < 2 * SIDECAR_CACHED; i++) {
		struct sidecar_key *k = &s->keys[s->hand++ % SIDECAR_CACHED];
		if (k->stored && !k->used) {
			idmap_remove(&s->map, idmap_key(&s->map, span_from(NULL, 0), span_of(k->session)));
			return k;
		}
		k->used = false;
	}
	return NULL;
}

static void path_of(const char *dir, const char *session, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/sidecar/%s.key", dir, session);
}

// ERR_NOT_FOUND: it has none.
static struct result load(const char *dir, const char *session, unsigned char key[HASH_LEN], struct err *e)
{
	char path[PATH_MAX];
	struct buf text;
	buf_init(&text, 256);
	path_of(dir, session, path);
	struct result r = file_read_secret(path, &text, e);
	if (!failed(r))
		r = decode_hex(buf_span(&text), key, HASH_LEN, e);
	if (text.mem != NULL)
		mem_wipe(text.mem, text.cap);
	buf_fini(&text);
	return r;
}

struct result sidecar_get(struct sidecar *s, struct span session, struct sidecar_key **out, struct err *e)
{
	if (session.len == 0)
		session = SPAN_LIT(SIDECAR_NO_SESSION);
	struct idmap_key id = idmap_key(&s->map, span_from(NULL, 0), session);
	const uint64_t *at = idmap_find(&s->map, id);
	if (at != NULL) {
		*out = &s->keys[*at];
		(*out)->used = true;
		return OK;
	}
	struct sidecar_key fresh = {.stored = true, .used = true};
	struct err loaded;
	BUG_ON(session.len > SUBMISSION_SESSION_MAX);
	memcpy(fresh.session, session.data, session.len);
	if (failed(load(s->dir, fresh.session, fresh.key, &loaded))) {
		if (loaded.kind != ERR_NOT_FOUND)
			return err_set(e, loaded.kind, "%s", loaded.msg);
		random_bytes(fresh.key, sizeof(fresh.key));
		fresh.stored = false;
	}
	struct sidecar_key *place = free_place(s);
	if (place == NULL)
		return err_set(e, ERR_CONFLICT, "too many new sessions at once: more than %d keys wait for the disk",
		               SIDECAR_CACHED);
	*place = fresh;
	mem_wipe(fresh.key, sizeof(fresh.key));
	idmap_put(&s->map, id, (uint64_t)(place - s->keys));
	*out = place;
	return OK;
}

struct result sidecar_store(const char *dir, const struct sidecar_key *k, struct err *e)
{
	char path[PATH_MAX], hex[HASH_HEX_LEN + 1];
	struct err created;
	path_of(dir, k->session, path);
	encode_hex(k->key, HASH_LEN, hex);
	hex[HASH_HEX_LEN - 1] = '\n';
	struct result r = file_create(path, span_from(hex, HASH_HEX_LEN), 0600, &created);
	mem_wipe(hex, sizeof(hex));
	if (!failed(r))
		return OK;
	if (created.kind != ERR_CONFLICT)
		return err_set(e, created.kind, "%s", created.msg);
	unsigned char there[HASH_LEN];
	TRY(load(dir, k->session, there, e));
	bool same = memcmp(there, k->key, HASH_LEN) == 0;
	mem_wipe(there, sizeof(there));
	return same ? OK : err_set(e, ERR_CONFLICT, "%s: another key stands there", path);
}

void sidecar_stored(struct sidecar *s, const struct sidecar_key *k)
{
	const uint64_t *at =
	        idmap_find(&s->map, idmap_key(&s->map, span_from(NULL, 0), span_from(k->session, strlen(k->session))));
	if (at != NULL && memcmp(s->keys[*at].key, k->key, HASH_LEN) == 0)
		s->keys[*at].stored = true;
}

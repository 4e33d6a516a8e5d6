#include "recorder/seen.h"

#include "base/mem.h"

void seen_init(struct seen *s)
{
	*s = (struct seen){0};
	idmap_init(&s->map);
	s->ring = mem_zero(SEEN_MAX * sizeof(*s->ring));
}

void seen_fini(struct seen *s)
{
	idmap_fini(&s->map);
	free(s->ring);
	s->ring = NULL;
}

const struct seen_entry *seen_find(const struct seen *s, struct span writer, struct span uid)
{
	const uint64_t *at = idmap_find(&s->map, idmap_key(&s->map, writer, uid));
	return at == NULL ? NULL : &s->ring[*at];
}

// A uid that came twice, far apart, is found at its later place only.
static bool drop(struct seen *s, uint64_t at)
{
	const uint64_t *found = idmap_find(&s->map, s->ring[at].key);
	return found != NULL && *found == at && idmap_remove(&s->map, s->ring[at].key);
}

void seen_add(struct seen *s, struct span writer, struct span uid, uint64_t index, uint64_t fingerprint)
{
	uint64_t at = s->added % SEEN_MAX;
	if (s->added >= SEEN_MAX)
		drop(s, at);
	s->ring[at] = (struct seen_entry){idmap_key(&s->map, writer, uid), index, fingerprint};
	idmap_put(&s->map, s->ring[at].key, at);
	s->added++;
}

void seen_take_back(struct seen *s, uint64_t from_index)
{
	while (s->added > 0 && s->ring[(s->added - 1) % SEEN_MAX].index >= from_index) {
		drop(s, (s->added - 1) % SEEN_MAX);
		s->added--;
	}
}

static uint64_t fingerprint(const struct span *parts, size_t n, bool denied, bool failure)
{
	struct buf text;
	buf_init(&text, 65536);
	for (size_t i = 0; i < n; i++)
		BUG_ON(!buf_printf(&text, "%zu:", parts[i].len) || !buf_add(&text, parts[i]));
	BUG_ON(!buf_printf(&text, "%d%d", denied, failure));
	struct hash h = hash_sha256(buf_span(&text));
	buf_fini(&text);
	uint64_t v;
	memcpy(&v, h.b, sizeof(v));
	return v;
}

static struct span mac_hex(const struct entry_payload *p, char hex[HASH_HEX_LEN])
{
	hex[0] = '\0';
	if (p->len > 0)
		hash_hex(&p->mac, hex);
	return span_of(hex);
}

uint64_t seen_fingerprint(const struct audit_entry *a, const struct entry_stamp *stamp)
{
	static const char *const phases[] = {[AUDIT_INTENT] = "intent", [AUDIT_OUTCOME] = "outcome", [AUDIT_ADMIN] = "admin"};
	char args[HASH_HEX_LEN], result[HASH_HEX_LEN];
	const struct span parts[] = {span_of(phases[a->phase]),
	                             span_of(stamp->writer),
	                             a->pair,
	                             a->operation,
	                             a->session,
	                             a->agent,
	                             a->object,
	                             mac_hex(&stamp->arguments, args),
	                             mac_hex(&stamp->result, result)};
	// An intent can fail only by being refused, and then its stored status says so too.
	return fingerprint(parts, ARRAY_LEN(parts), a->denied, a->phase != AUDIT_INTENT && (a->denied || a->failed));
}

uint64_t seen_fingerprint_of(const struct entry *s)
{
	const struct span parts[] = {s->phase, s->writer, s->pair,     s->operation, s->session,
	                             s->agent, s->object, s->args_mac, s->result_mac};
	return fingerprint(parts, ARRAY_LEN(parts), s->denied, s->failed);
}

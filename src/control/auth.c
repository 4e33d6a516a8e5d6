#include "control/auth.h"

#include <openssl/evp.h>

#include "base/mem.h"

#define ENDED_MAX 4096 // ended tokens remembered, so that their holders are told 412 and not 401

struct entry {
	struct entry *next;       // in its bucket
	struct entry *ended_next; // in the order of their end
	struct credential c;
};

struct auth {
	struct entry **buckets;
	size_t n_buckets; // a power of two
	size_t n;
	struct entry *ended_head, **ended_tail;
	size_t n_ended;
};

struct auth *auth_new(void)
{
	struct auth *a = NEW(struct auth);
	a->n_buckets = 256;
	a->buckets = mem_zero(a->n_buckets * sizeof(struct entry *));
	a->ended_tail = &a->ended_head;
	return a;
}

void auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n_buckets; i++) {
		for (struct entry *e = a->buckets[i], *next; e != NULL; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(a->buckets);
	free(a);
}

void auth_hash(struct span secret, uint8_t out[AUTH_HASH_LEN])
{
	unsigned int len = 0;
	BUG_ON(EVP_Digest(secret.data, secret.len, out, &len, EVP_sha256(), NULL) != 1 || len != AUTH_HASH_LEN);
}

static struct entry **bucket(const struct auth *a, const uint8_t hash[AUTH_HASH_LEN])
{
	uint64_t h;
	memcpy(&h, hash, sizeof(h));
	return &a->buckets[h & (a->n_buckets - 1)];
}

static void grow(struct auth *a)
{
	struct auth bigger = {.n_buckets = a->n_buckets * 2};
	bigger.buckets = mem_zero(bigger.n_buckets * sizeof(struct entry *));
	for (size_t i = 0; i < a->n_buckets; i++) {
		for (struct entry *e = a->buckets[i], *next; e != NULL; e = next) {
			next = e->next;
			struct entry **b = bucket(&bigger, e->c.hash);
			e->next = *b;
			*b = e;
		}
	}
	free(a->buckets);
	a->buckets = bigger.buckets;
	a->n_buckets = bigger.n_buckets;
}

static struct entry *find(const struct auth *a, const uint8_t hash[AUTH_HASH_LEN])
{
	struct span wanted = span_from((const char *)hash, AUTH_HASH_LEN);
	for (struct entry *e = *bucket(a, hash); e != NULL; e = e->next) {
		if (span_eq_secret(span_from((const char *)e->c.hash, AUTH_HASH_LEN), wanted))
			return e;
	}
	return NULL;
}

void auth_add(struct auth *a, const struct credential *c)
{
	struct entry *e = find(a, c->hash);
	if (e == NULL) {
		if (a->n >= a->n_buckets)
			grow(a);
		e = NEW(struct entry);
		struct entry **b = bucket(a, c->hash);
		e->next = *b;
		*b = e;
		a->n++;
	}
	e->c = *c;
}

static void unlink_ended(struct auth *a, struct entry *gone)
{
	for (struct entry **p = &a->ended_head; *p != NULL; p = &(*p)->ended_next) {
		if (*p != gone)
			continue;
		*p = gone->ended_next;
		if (*p == NULL)
			a->ended_tail = p;
		a->n_ended--;
		return;
	}
}

static void drop(struct auth *a, struct entry *e)
{
	for (struct entry **p = bucket(a, e->c.hash); *p != NULL; p = &(*p)->next) {
		if (*p != e)
			continue;
		*p = e->next;
		break;
	}
	if (e->c.kind == AUTH_ENDED)
		unlink_ended(a, e);
	a->n--;
	free(e);
}

static bool is_key(const struct credential *c, const char *id)
{
	return (c->kind == AUTH_API || c->kind == AUTH_ENVIRONMENT) && strcmp(c->id, id) == 0;
}

// A scan, as auth_end_token is: keys are revoked and leases end seldom, beside how often credentials are used.
void auth_revoke(struct auth *a, const char *key_id)
{
	for (size_t i = 0; i < a->n_buckets; i++) {
		for (struct entry *e = a->buckets[i], *next; e != NULL; e = next) {
			next = e->next;
			if (is_key(&e->c, key_id))
				drop(a, e);
		}
	}
}

static void end_token(struct auth *a, struct entry *e)
{
	e->c.kind = AUTH_ENDED;
	e->ended_next = NULL;
	*a->ended_tail = e;
	a->ended_tail = &e->ended_next;
	a->n_ended++;
}

void auth_end_token(struct auth *a, const char *work_id, int64_t epoch)
{
	for (size_t i = 0; i < a->n_buckets; i++) {
		for (struct entry *e = a->buckets[i]; e != NULL; e = e->next) {
			if (e->c.kind == AUTH_TOKEN && e->c.epoch <= epoch && strcmp(e->c.id, work_id) == 0)
				end_token(a, e);
		}
	}
	while (a->n_ended > ENDED_MAX) {
		BUG_ON(a->ended_head == NULL || a->ended_head->c.kind != AUTH_ENDED);
		drop(a, a->ended_head);
	}
}

const struct credential *auth_find(const struct auth *a, const struct http1_request *r)
{
	struct span carried[2] = {http1_field_get(r, "authorization"), http1_field_get(r, "x-api-key")};
	if (carried[0].len >= 7 && strncasecmp(carried[0].data, "bearer ", 7) == 0)
		carried[0] = span_trim(span_skip(carried[0], 7));
	for (size_t i = 0; i < ARRAY_LEN(carried); i++) {
		if (carried[i].len == 0 || carried[i].len > 4096)
			continue;
		uint8_t hash[AUTH_HASH_LEN];
		auth_hash(carried[i], hash);
		const struct entry *e = find(a, hash);
		if (e != NULL)
			return &e->c;
	}
	return NULL;
}

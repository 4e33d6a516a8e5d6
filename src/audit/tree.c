#include "audit/tree.h"

void tree_init(struct tree *t)
{
	t->size = 0;
}

void tree_push_subtree(struct tree *t, unsigned level, const struct hash *root)
{
	BUG_ON(level > 62 || (t->size & ((1ULL << level) - 1)) != 0);
	struct hash h = *root;
	unsigned b = level;
	for (; (t->size >> b & 1) != 0; b++)
		h = hash_node(&t->frontier[b], &h);
	t->frontier[b] = h;
	t->size += 1ULL << level;
}

void tree_push(struct tree *t, const struct hash *leaf)
{
	tree_push_subtree(t, 0, leaf);
}

struct hash tree_root(const struct tree *t)
{
	struct hash acc = {{0}};
	bool any = false;
	for (unsigned b = 0; b < 64; b++) {
		if ((t->size >> b & 1) == 0)
			continue;
		acc = any ? hash_node(&t->frontier[b], &acc) : t->frontier[b];
		any = true;
	}
	return any ? acc : hash_sha256(SPAN_LIT(""));
}

// The largest power of two below n, for n > 1.
static uint64_t split(uint64_t n)
{
	return 1ULL << (63 - __builtin_clzll(n - 1));
}

// The root over leaves [from, to), where `from` is a multiple of the smallest power of two that is not below to - from, as
// every range is that the recursive definitions arrive at.
static struct result range_root(const struct tree_source *s, uint64_t from, uint64_t to, struct hash *out, struct err *e)
{
	uint64_t left = to - from;
	bool any = false;
	// From the smallest, rightmost subtree to the largest.
	for (unsigned b = 0; b < 64 && left != 0; b++) {
		if ((left >> b & 1) == 0)
			continue;
		struct hash h;
		left &= ~(1ULL << b);
		TRY(s->node(s->arg, b, (from + left) >> b, &h, e));
		*out = any ? hash_node(&h, out) : h;
		any = true;
	}
	BUG_ON(!any);
	return OK;
}

static void reverse(struct tree_proof *p)
{
	for (size_t i = 0; i < p->n / 2; i++) {
		struct hash h = p->hash[i];
		p->hash[i] = p->hash[p->n - 1 - i];
		p->hash[p->n - 1 - i] = h;
	}
}

struct result tree_prove_inclusion(const struct tree_source *s, uint64_t leaf, uint64_t size, struct tree_proof *out,
                                   struct err *e)
{
	if (leaf >= size)
		return err_set(e, ERR_INVALID, "entry %llu is not in a log of %llu", (unsigned long long)leaf,
		               (unsigned long long)size);
	uint64_t from = 0, to = size;
	out->n = 0;
	while (to - from > 1) {
		uint64_t k = from + split(to - from);
		bool in_left = leaf < k;
		TRY(range_root(s, in_left ? k : from, in_left ? to : k, &out->hash[out->n++], e));
		*(in_left ? &to : &from) = k;
	}
	reverse(out);
	return OK;
}

struct result tree_prove_consistency(const struct tree_source *s, uint64_t old, uint64_t size, struct tree_proof *out,
                                     struct err *e)
{
	if (old == 0 || old > size)
		return err_set(e, ERR_INVALID, "no consistency proof from size %llu to %llu", (unsigned long long)old,
		               (unsigned long long)size);
	uint64_t from = 0, to = size;
	bool whole = true; // the old tree is the subtree at hand, whose root the verifier knows
	out->n = 0;
	while (old != to) {
		uint64_t k = from + split(to - from);
		bool in_left = old <= k;
		TRY(range_root(s, in_left ? k : from, in_left ? to : k, &out->hash[out->n++], e));
		whole = whole && in_left;
		*(in_left ? &to : &from) = k;
	}
	if (!whole)
		TRY(range_root(s, from, to, &out->hash[out->n++], e));
	reverse(out);
	return OK;
}

static struct result mismatch(struct err *e)
{
	return err_set(e, ERR_CORRUPT, "the proof does not lead to the root");
}

struct result tree_verify_inclusion(const struct tree_proof *p, uint64_t leaf, uint64_t size, const struct hash *hash,
                                    const struct hash *root, struct err *e)
{
	if (leaf >= size || p->n > TREE_PROOF_MAX)
		return mismatch(e);
	uint64_t fn = leaf, sn = size - 1;
	struct hash r = *hash;
	for (size_t i = 0; i < p->n; i++) {
		if (sn == 0)
			return mismatch(e);
		if ((fn & 1) != 0 || fn == sn) {
			r = hash_node(&p->hash[i], &r);
			for (; (fn & 1) == 0 && fn != 0; fn >>= 1)
				sn >>= 1;
		} else {
			r = hash_node(&r, &p->hash[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && hash_eq(&r, root) ? OK : mismatch(e);
}

struct result tree_verify_consistency(const struct tree_proof *p, uint64_t old, uint64_t size, const struct hash *old_root,
                                      const struct hash *root, struct err *e)
{
	if (old == 0 || old > size || p->n > TREE_PROOF_MAX)
		return mismatch(e);
	if (old == size)
		return p->n == 0 && hash_eq(old_root, root) ? OK : mismatch(e);
	bool power = (old & (old - 1)) == 0; // then the old root itself is the proof's first hash, and left out
	if (p->n == 0)
		return mismatch(e);
	uint64_t fn = old - 1, sn = size - 1;
	for (; (fn & 1) != 0; fn >>= 1)
		sn >>= 1;
	struct hash fr = power ? *old_root : p->hash[0], sr = fr;
	for (size_t i = power ? 0 : 1; i < p->n; i++) {
		const struct hash *c = &p->hash[i];
		if (sn == 0)
			return mismatch(e);
		if ((fn & 1) != 0 || fn == sn) {
			fr = hash_node(c, &fr);
			sr = hash_node(c, &sr);
			for (; (fn & 1) == 0 && fn != 0; fn >>= 1)
				sn >>= 1;
		} else {
			sr = hash_node(&sr, c);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && hash_eq(&fr, old_root) && hash_eq(&sr, root) ? OK : mismatch(e);
}

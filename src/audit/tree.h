// The Merkle tree of RFC 6962 section 2.1: growing it, its root, and proofs (algorithms of RFC 9162 2.1.3.2 and 2.1.4.2).
#ifndef SALLYPORT_AUDIT_TREE_H
#define SALLYPORT_AUDIT_TREE_H

#include <stdint.h>

#include "audit/hash.h"

// A tree as its frontier: for each set bit b of `size`, the root of a complete subtree of 2^b leaves.
struct tree {
	uint64_t size;
	struct hash frontier[64];
};

void tree_init(struct tree *t); // empty
void tree_push(struct tree *t, const struct hash *leaf);
// Pushes a complete subtree of 2^level leaves; `size` must be a multiple of 2^level.
void tree_push_subtree(struct tree *t, unsigned level, const struct hash *root);
struct hash tree_root(const struct tree *t);

// Where proofs take hashes from: the root of the complete subtree over leaves [index << level, (index + 1) << level).
struct tree_source {
	struct result (*node)(void *arg, unsigned level, uint64_t index, struct hash *out, struct err *e);
	void *arg;
};

#define TREE_PROOF_MAX 64

struct tree_proof {
	size_t n;
	struct hash hash[TREE_PROOF_MAX];
};

// The inclusion path of `leaf` in the tree of `size` leaves, sibling first; ERR_INVALID unless leaf < size.
MUST_USE struct result tree_prove_inclusion(const struct tree_source *s, uint64_t leaf, uint64_t size, struct tree_proof *out,
                                            struct err *e);
// That the tree of `size` leaves begins with the one of `old`; ERR_INVALID unless 0 < old <= size.
MUST_USE struct result tree_prove_consistency(const struct tree_source *s, uint64_t old, uint64_t size, struct tree_proof *out,
                                              struct err *e);

// ERR_CORRUPT when the proof does not lead to the root.
MUST_USE struct result tree_verify_inclusion(const struct tree_proof *p, uint64_t leaf, uint64_t size, const struct hash *hash,
                                             const struct hash *root, struct err *e);
MUST_USE struct result tree_verify_consistency(const struct tree_proof *p, uint64_t old, uint64_t size,
                                               const struct hash *old_root, const struct hash *root, struct err *e);

#endif

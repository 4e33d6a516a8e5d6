// The Merkle tree against RFC 6962's published shapes and known vectors, and proofs that are bent in every way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "audit/tree.h"
#include "base/mem.h"

#define N_MAX 130

static struct hash leaves[N_MAX];

static struct result node_of_leaves(void *arg, unsigned level, uint64_t index, struct hash *out, struct err *e)
{
	(void)arg;
	(void)e;
	struct tree t;
	tree_init(&t);
	for (uint64_t i = index << level; i < (index + 1) << level; i++)
		tree_push(&t, &leaves[i]);
	*out = tree_root(&t);
	return OK;
}

static const struct tree_source source = {node_of_leaves, NULL};

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < N_MAX; i++) {
		char text[8];
		int n = snprintf(text, sizeof(text), "e%d", i);
		leaves[i] = hash_leaf(span_from(text, (size_t)n));
	}
	return 0;
}

static struct hash root_of(uint64_t size)
{
	struct tree t;
	tree_init(&t);
	for (uint64_t i = 0; i < size; i++)
		tree_push(&t, &leaves[i]);
	return tree_root(&t);
}

static void assert_hash(struct hash h, const char *hex)
{
	char got[HASH_HEX_LEN];
	hash_hex(&h, got);
	assert_string_equal(got, hex);
}

static void test_roots(void **state)
{
	(void)state;
	assert_hash(leaves[0], "956ae51bd3e285ccb826298dd523dd08824ce5579749994f2e0021737b9dd4b8");
	assert_hash(root_of(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_hash(root_of(1), "956ae51bd3e285ccb826298dd523dd08824ce5579749994f2e0021737b9dd4b8");
	assert_hash(root_of(2), "718fa0369d7475099bc6cb4327e3823a4972285f92bd49971a583c9f08ffb68d");
	assert_hash(root_of(3), "64b249c4e0606e3d9742c49bfd57cd1e3eb170f5ccefa26ea045ca193d64a75f");
	assert_hash(root_of(4), "95669b376bc4e3544da09825e59ae202a35ac0fc5e5809a2ca63d81e89d17d6c");
	assert_hash(root_of(7), "4cbd8e35849450400d4e9c4c0ae7f71c79ad4410f9ad2c624622ff5f8617313d");
}

static void test_known_proofs(void **state)
{
	(void)state;
	struct tree_proof p;
	assert_false(failed(tree_prove_inclusion(&source, 3, 7, &p, NULL)));
	assert_int_equal(p.n, 3);
	assert_hash(p.hash[0], "e76eb1b97b06757150f95e06357a7dc404ca511b63a90330a56a94df3d0d66d1");
	assert_hash(p.hash[1], "718fa0369d7475099bc6cb4327e3823a4972285f92bd49971a583c9f08ffb68d");
	assert_hash(p.hash[2], "f5f34fe057a318ad65999c34f8cb277777e3364529fe701170b0908d0314c442");
	assert_false(failed(tree_prove_consistency(&source, 3, 7, &p, NULL)));
	assert_int_equal(p.n, 4);
	assert_hash(p.hash[0], "e76eb1b97b06757150f95e06357a7dc404ca511b63a90330a56a94df3d0d66d1");
	assert_hash(p.hash[1], "d5bdb58a19173a6a0111df3f1f62dbaa00e44221e0f09b47489812a010cd5314");
	assert_hash(p.hash[2], "718fa0369d7475099bc6cb4327e3823a4972285f92bd49971a583c9f08ffb68d");
	assert_hash(p.hash[3], "f5f34fe057a318ad65999c34f8cb277777e3364529fe701170b0908d0314c442");
}

// A proof shortened, lengthened, with a bit turned, or of another root must not pass.
static void assert_bent_inclusion_fails(const struct tree_proof *good, uint64_t leaf, uint64_t size, const struct hash *root)
{
	struct tree_proof p = *good;
	if (p.n > 0) {
		p.n--;
		assert_true(failed(tree_verify_inclusion(&p, leaf, size, &leaves[leaf], root, NULL)));
		p.n++;
		p.hash[p.n - 1].b[31] ^= 1;
		assert_true(failed(tree_verify_inclusion(&p, leaf, size, &leaves[leaf], root, NULL)));
		p.hash[p.n - 1].b[31] ^= 1;
	}
	p.hash[p.n++] = *root;
	assert_true(failed(tree_verify_inclusion(&p, leaf, size, &leaves[leaf], root, NULL)));
	struct hash other = *root;
	other.b[0] ^= 0x80;
	assert_true(failed(tree_verify_inclusion(good, leaf, size, &leaves[leaf], &other, NULL)));
	assert_true(failed(tree_verify_inclusion(good, size, size, &leaves[leaf], root, NULL)));
}

static void test_every_inclusion(void **state)
{
	(void)state;
	for (uint64_t size = 1; size <= N_MAX; size++) {
		struct hash root = root_of(size);
		for (uint64_t leaf = 0; leaf < size; leaf++) {
			struct tree_proof p;
			assert_false(failed(tree_prove_inclusion(&source, leaf, size, &p, NULL)));
			assert_false(failed(tree_verify_inclusion(&p, leaf, size, &leaves[leaf], &root, NULL)));
			assert_bent_inclusion_fails(&p, leaf, size, &root);
		}
	}
}

static void assert_bent_consistency_fails(const struct tree_proof *good, uint64_t old, uint64_t size,
                                          const struct hash *old_root, const struct hash *root)
{
	struct tree_proof p = *good;
	if (p.n > 0) {
		p.n--;
		assert_true(failed(tree_verify_consistency(&p, old, size, old_root, root, NULL)));
		p.n++;
		p.hash[0].b[0] ^= 1;
		assert_true(failed(tree_verify_consistency(&p, old, size, old_root, root, NULL)));
		p.hash[0].b[0] ^= 1;
	}
	p.hash[p.n++] = *root;
	assert_true(failed(tree_verify_consistency(&p, old, size, old_root, root, NULL)));
	struct hash other = *old_root;
	other.b[7] ^= 4;
	assert_true(failed(tree_verify_consistency(good, old, size, &other, root, NULL)));
	other = *root;
	other.b[7] ^= 4;
	assert_true(failed(tree_verify_consistency(good, old, size, old_root, &other, NULL)));
}

static void test_every_consistency(void **state)
{
	(void)state;
	for (uint64_t size = 1; size <= 70; size++) {
		struct hash root = root_of(size);
		for (uint64_t old = 1; old <= size; old++) {
			struct tree_proof p;
			struct hash old_root = root_of(old);
			assert_false(failed(tree_prove_consistency(&source, old, size, &p, NULL)));
			assert_false(failed(tree_verify_consistency(&p, old, size, &old_root, &root, NULL)));
			assert_bent_consistency_fails(&p, old, size, &old_root, &root);
		}
	}
}

static void test_refuses_impossible_proofs(void **state)
{
	(void)state;
	struct tree_proof p;
	assert_true(failed(tree_prove_inclusion(&source, 7, 7, &p, NULL)));
	assert_true(failed(tree_prove_consistency(&source, 0, 7, &p, NULL)));
	assert_true(failed(tree_prove_consistency(&source, 8, 7, &p, NULL)));
}

static void test_subtrees_add_up(void **state)
{
	(void)state;
	struct tree t;
	tree_init(&t);
	struct hash left;
	assert_false(failed(node_of_leaves(NULL, 6, 0, &left, NULL)));
	tree_push_subtree(&t, 6, &left);
	for (uint64_t i = 64; i < 100; i++)
		tree_push(&t, &leaves[i]);
	struct hash a = tree_root(&t), b = root_of(100);
	assert_true(hash_eq(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_roots),
	        cmocka_unit_test(test_known_proofs),
	        cmocka_unit_test(test_every_inclusion),
	        cmocka_unit_test(test_every_consistency),
	        cmocka_unit_test(test_refuses_impossible_proofs),
	        cmocka_unit_test(test_subtrees_add_up),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}

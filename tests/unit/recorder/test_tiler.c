// Tiles and checkpoints as they are written: the published vector of 70,000 entries, taking up again at any size, and what an
// attempt that was never published leaves behind.
#include "unit/unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit/logdir.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/mem.h"
#include "recorder/tiler.h"

static char dir[64];
static struct note_signer signer;

static int setup(void **state)
{
	(void)state;
	unsigned char seed[32], pub[32];
	size_t n = sizeof(pub);
	for (unsigned i = 0; i < 32; i++)
		seed[i] = (unsigned char)(i + 1); // the vectors' test key
	signer.key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
	EVP_PKEY_get_raw_public_key(signer.key, pub, &n);
	assert_false(failed(note_verifier_init(&signer.v, SPAN_LIT("perimeter.example/audit"), pub, NULL)));
	snprintf(dir, sizeof(dir), "%s", "/tmp/sp-tiler-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
	(void)state;
	note_signer_fini(&signer);
	return failed(file_remove_tree(dir, NULL));
}

static struct tiler *load(void)
{
	struct tiler *t;
	struct err e;
	if (failed(tiler_load(dir, &signer, &t, &e)))
		fail_msg("%s", e.msg);
	return t;
}

static void add(struct tiler *t, uint64_t upto)
{
	while (tiler_size(t) < upto) {
		char text[64];
		int n = snprintf(text, sizeof(text), "{\"seq\":%llu,\"ev\":\"tool.call\"}", (unsigned long long)tiler_size(t));
		struct hash leaf = hash_leaf(span_from(text, (size_t)n));
		assert_false(failed(tiler_add(t, span_from(text, (size_t)n), &leaf, NULL)));
	}
}

static struct checkpoint publish(struct tiler *t)
{
	struct checkpoint c;
	struct err e;
	if (failed(tiler_publish(t, &c, &e)))
		fail_msg("%s", e.msg);
	return c;
}

static bool there(const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static struct result count_entry(void *arg, uint64_t index, struct span entry, struct err *e)
{
	char text[64];
	(void)e;
	snprintf(text, sizeof(text), "{\"seq\":%llu,\"ev\":\"tool.call\"}", (unsigned long long)index);
	assert_true(span_is(entry, text));
	++*(uint64_t *)arg;
	return OK;
}

static void test_vector_of_70000(void **state)
{
	(void)state;
	static const uint64_t stops[] = {0, 1, 2, 255, 256, 257, 511, 513, 65535, 65536, 65537, 70000};
	struct checkpoint c;
	for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
		struct tiler *t = load();
		assert_int_equal(tiler_size(t), i == 0 ? 0 : stops[i - 1]);
		add(t, stops[i]);
		c = publish(t);
		tiler_free(&t);
	}
	char root[HASH_BASE64_LEN];
	hash_base64(&c.root, root);
	assert_int_equal(c.size, 70000);
	assert_string_equal(root, "HSSLxaBuzBnpaKXcNTO1P1W49nWfrPbwU+BrufEZc3g=");

	struct buf note;
	char path[PATH_MAX];
	buf_init(&note, NOTE_MAX);
	snprintf(path, sizeof(path), "%s/checkpoint", dir);
	assert_false(failed(file_read(path, &note, NULL)));
	assert_non_null(
	        strstr(buf_str(&note),
	               " Z41nFODIys2MnpPijkVC1qy6ni61ITdS8Pk5IZWjbBrqD3sh7doRX7/BlEH3eOhQqwejUBkYl7aZGJuX3hRQsCN07wA=\n"));
	buf_fini(&note);

	assert_true(there("tile/0/272") && there("tile/0/273.p/112") && there("tile/entries/273.p/112"));
	assert_true(there("tile/1/000") && there("tile/1/001.p/17") && there("tile/2/000.p/1"));
	assert_false(there("tile/0/273") || there("tile/0/000.p") || there("tile/entries/001.p") || there("tile/1/000.p"));
	uint64_t n = 0;
	assert_false(failed(logdir_walk(dir, 0, 70000, count_entry, &n, NULL)));
	assert_int_equal(n, 70000);
}

static void test_proofs_out_of_the_tiles(void **state)
{
	(void)state;
	struct checkpoint c;
	struct logdir_proofs proofs = {dir, 70000};
	struct tree_source source = logdir_source(&proofs);
	struct tree_proof p;
	char first[HASH_BASE64_LEN], last[HASH_BASE64_LEN];
	assert_false(failed(logdir_checkpoint(dir, &signer.v, &c, NULL)));
	assert_false(failed(tree_prove_inclusion(&source, 12345, 70000, &p, NULL)));
	hash_base64(&p.hash[0], first);
	hash_base64(&p.hash[p.n - 1], last);
	assert_int_equal(p.n, 17);
	assert_string_equal(first, "Yqoha+b4pzp9Moe96ObTjrlRBlb7QR70C9ik9dio2zM=");
	assert_string_equal(last, "HU8I460aE5s9VqPdzBPJyJQWS1TTS+jevZIOLspz5HQ=");
	struct hash leaf = hash_leaf(SPAN_LIT("{\"seq\":12345,\"ev\":\"tool.call\"}"));
	assert_false(failed(tree_verify_inclusion(&p, 12345, 70000, &leaf, &c.root, NULL)));
	// That the log of 65,537 entries is the beginning of this one.
	struct tree old;
	tree_init(&old);
	for (uint64_t i = 0; i < 65537; i++) {
		char text[64];
		int n = snprintf(text, sizeof(text), "{\"seq\":%llu,\"ev\":\"tool.call\"}", (unsigned long long)i);
		struct hash h = hash_leaf(span_from(text, (size_t)n));
		tree_push(&old, &h);
	}
	struct hash old_root = tree_root(&old);
	assert_false(failed(tree_prove_consistency(&source, 65537, 70000, &p, NULL)));
	assert_false(failed(tree_verify_consistency(&p, 65537, 70000, &old_root, &c.root, NULL)));
}

// An attempt that wrote its tiles, whole or torn, and died before its checkpoint: the next one goes over them.
static void test_what_was_never_published_is_written_over(void **state)
{
	(void)state;
	struct tiler *t = load();
	uint64_t size = tiler_size(t);
	add(t, size + 300); // full tiles are written by now
	tiler_free(&t);
	char name[TILE_PATH_MAX], path[PATH_MAX];
	tile_path(&(struct tile){TILE_ENTRIES, (size + 300) / TILE_WIDTH - 1, TILE_WIDTH}, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(truncate(path, 100), 0);
	t = load();
	assert_int_equal(tiler_size(t), size);
	add(t, size + 301);
	struct checkpoint c = publish(t);
	tiler_free(&t);
	assert_int_equal(c.size, size + 301);
	t = load();
	uint64_t n = 0;
	assert_false(failed(logdir_walk(dir, 0, c.size, count_entry, &n, NULL)));
	tiler_free(&t);
}

// A kill between opening a signed tile and writing it again would lose it: so it is not opened.
static void test_what_was_published_is_not_written_again(void **state)
{
	(void)state;
	struct tiler *t = load();
	uint64_t size = tiler_size(t);
	char name[TILE_PATH_MAX], path[PATH_MAX];
	struct buf there;
	tile_path(&(struct tile){1, tile_full(size, 1), tile_partial(size, 1)}, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_false(failed(file_write_atomic(path, SPAN_LIT("a mark"), 0600, NULL)));
	add(t, size + 1);
	publish(t);
	tiler_free(&t);
	buf_init(&there, 64);
	assert_false(failed(file_read(path, &there, NULL)));
	assert_string_equal(buf_str(&there), "a mark");
	buf_fini(&there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_vector_of_70000),
	        cmocka_unit_test(test_proofs_out_of_the_tiles),
	        cmocka_unit_test(test_what_was_never_published_is_written_over),
	        cmocka_unit_test(test_what_was_published_is_not_written_again),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

// Tile names and widths (tlog-tiles), subtree roots, and bundles that are cut short.
#include "unit/unit.h"

#include "audit/tile.h"
#include "audit/tree.h"
#include "base/mem.h"

static void assert_path(int level, uint64_t index, unsigned width, const char *want)
{
	char got[TILE_PATH_MAX];
	tile_path(&(struct tile){level, index, width}, got);
	assert_string_equal(got, want);
}

static void test_paths(void **state)
{
	(void)state;
	assert_path(0, 5, 256, "tile/0/005");
	assert_path(1, 273, 256, "tile/1/273");
	assert_path(0, 1234067, 256, "tile/0/x001/x234/067");
	assert_path(TILE_ENTRIES, 1000, 17, "tile/entries/x001/000.p/17");
	assert_path(7, UINT64_MAX, 255, "tile/7/x018/x446/x744/x073/x709/x551/615.p/255");
	char dir[TILE_PATH_MAX];
	tile_partial_dir(&(struct tile){TILE_ENTRIES, 1000, 256}, dir);
	assert_string_equal(dir, "tile/entries/x001/000.p");
}

static void test_widths(void **state)
{
	(void)state;
	static const struct {
		uint64_t size;
		int level;
		uint64_t full;
		unsigned partial;
	} cases[] = {
	        {0, 0, 0, 0},
	        {1, 0, 0, 1},
	        {255, TILE_ENTRIES, 0, 255},
	        {256, 0, 1, 0},
	        {256, 1, 0, 1},
	        {70000, 0, 273, 112},
	        {70000, 1, 1, 17},
	        {70000, 2, 0, 1},
	        {70000, 3, 0, 0},
	        {65536, 1, 1, 0},
	        {70000, TILE_ENTRIES, 273, 112},
	        {1ULL << 62, 7, 0, 64},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(tile_full(cases[i].size, cases[i].level), cases[i].full);
		assert_int_equal(tile_partial(cases[i].size, cases[i].level), cases[i].partial);
	}
}

static void test_subtrees(void **state)
{
	(void)state;
	struct hash hashes[TILE_WIDTH];
	struct tree t;
	tree_init(&t);
	for (unsigned i = 0; i < TILE_WIDTH; i++) {
		hashes[i] = hash_leaf(span_from((const char *)&i, sizeof(i)));
		tree_push(&t, &hashes[i]);
		if ((t.size & (t.size - 1)) != 0)
			continue;
		struct hash a = tree_root(&t), b = tile_subtree(hashes, (unsigned)__builtin_ctzll(t.size));
		assert_true(hash_eq(&a, &b));
	}
}

static void test_bundles(void **state)
{
	(void)state;
	static const char bundle[] = "\0\3abc\0\0\0\1x";
	struct span rest = span_from(bundle, sizeof(bundle) - 1), entry;
	assert_false(failed(tile_next_entry(&rest, &entry, NULL)));
	assert_true(span_is(entry, "abc"));
	assert_false(failed(tile_next_entry(&rest, &entry, NULL)));
	assert_int_equal(entry.len, 0);
	assert_false(failed(tile_next_entry(&rest, &entry, NULL)));
	assert_true(span_is(entry, "x"));
	assert_true(failed(tile_next_entry(&rest, &entry, NULL)));
	for (size_t n = 1; n < 5; n++) {
		rest = span_from(bundle, n);
		assert_true(failed(tile_next_entry(&rest, &entry, NULL)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_paths),
	        cmocka_unit_test(test_widths),
	        cmocka_unit_test(test_subtrees),
	        cmocka_unit_test(test_bundles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

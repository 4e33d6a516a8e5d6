// Sessions' keys: the same one again, also from disk; never one that could not be kept; erased by removing a file.
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "recorder/sidecar.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s", "/tmp/sp-side-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
	(void)state;
	return failed(file_remove_tree(dir, NULL));
}

static struct sidecar *open_it(void)
{
	struct sidecar *s;
	assert_false(failed(sidecar_open(dir, &s, NULL)));
	return s;
}

static void test_a_key_lasts(void **state)
{
	(void)state;
	struct sidecar *s = open_it();
	struct sidecar_key *k, copy;
	assert_false(failed(sidecar_get(s, SPAN_LIT("sesn_1"), &k, NULL)));
	assert_false(k->stored);
	copy = *k;
	assert_false(failed(sidecar_store(dir, &copy, NULL)));
	assert_false(failed(sidecar_store(dir, &copy, NULL))); // again is fine
	sidecar_stored(s, &copy);
	assert_false(failed(sidecar_get(s, SPAN_LIT("sesn_1"), &k, NULL)));
	assert_true(k->stored && memcmp(k->key, copy.key, HASH_LEN) == 0);
	sidecar_close(&s);

	s = open_it();
	assert_false(failed(sidecar_get(s, SPAN_LIT("sesn_1"), &k, NULL)));
	assert_true(k->stored && memcmp(k->key, copy.key, HASH_LEN) == 0);
	struct sidecar_key other = copy;
	other.key[0] ^= 1;
	assert_true(failed(sidecar_store(dir, &other, NULL))); // never over another key
	AUTO_FREE char *path = mem_printf("%s/sidecar/sesn_1.key", dir);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	sidecar_close(&s);

	assert_int_equal(unlink(path), 0);
	s = open_it();
	assert_false(failed(sidecar_get(s, SPAN_LIT("sesn_1"), &k, NULL)));
	assert_true(!k->stored && memcmp(k->key, copy.key, HASH_LEN) != 0);
	sidecar_close(&s);
}

static void test_many_sessions(void **state)
{
	(void)state;
	struct sidecar *s = open_it();
	struct sidecar_key *k;
	char name[32];
	for (int i = 0; i < 3 * SIDECAR_CACHED; i++) {
		snprintf(name, sizeof(name), "many_%d", i);
		assert_false(failed(sidecar_get(s, span_of(name), &k, NULL)));
		struct sidecar_key copy = *k;
		sidecar_stored(s, &copy); // as if it had been written
	}
	// When no key can be written, none may be forgotten: then there is an end.
	struct err e;
	int i = 0;
	struct result r = OK;
	for (; !failed(r) && i < 3 * SIDECAR_CACHED; i++) {
		snprintf(name, sizeof(name), "stuck_%d", i);
		r = sidecar_get(s, span_of(name), &k, &e);
	}
	assert_true(failed(r));
	assert_int_equal(i - 1, SIDECAR_CACHED);
	assert_int_equal(e.kind, ERR_CONFLICT);
	sidecar_close(&s);
}

static void test_a_damaged_key_refuses(void **state)
{
	(void)state;
	struct sidecar *s = open_it();
	struct sidecar_key *k;
	AUTO_FREE char *path = mem_printf("%s/sidecar/bad.key", dir);
	assert_false(failed(file_write_atomic(path, SPAN_LIT("not a key\n"), 0600, NULL)));
	assert_true(failed(sidecar_get(s, SPAN_LIT("bad"), &k, NULL)));
	assert_false(failed(file_write_atomic(path, SPAN_LIT("\n"), 0600, NULL)));
	assert_true(failed(sidecar_get(s, SPAN_LIT("bad"), &k, NULL)));
	sidecar_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_key_lasts),
	        cmocka_unit_test(test_many_sessions),
	        cmocka_unit_test(test_a_damaged_key_refuses),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

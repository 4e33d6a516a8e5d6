// Writers' numbers and chains, their saved state, and what does not follow.
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "recorder/writers.h"

static void test_names_and_roles(void **state)
{
	(void)state;
	char name[ENTRY_WRITER_MAX];
	writers_name(SPAN_LIT("worker"), 4294967295U, name);
	assert_string_equal(name, "worker@4294967295");
	assert_true(writers_role_known(SPAN_LIT("control")) && writers_role_known(SPAN_LIT("test")));
	assert_false(writers_role_known(SPAN_LIT("")) || writers_role_known(SPAN_LIT("Control")));
}

static struct result follow(struct writers *ws, uint64_t seq, const struct hash *prev, const char *bytes)
{
	struct entry e = {.writer = SPAN_LIT("worker@0"), .seq = seq, .has_prev = prev != NULL};
	if (prev != NULL)
		e.prev = *prev;
	return writers_follow(ws, &e, span_of(bytes), NULL);
}

static void test_following(void **state)
{
	(void)state;
	struct writers ws = {0};
	struct hash one = hash_sha256(SPAN_LIT("one"));
	assert_true(failed(follow(&ws, 2, NULL, "two")));
	assert_true(failed(follow(&ws, 1, &one, "one")));
	assert_false(failed(follow(&ws, 1, NULL, "one")));
	assert_true(failed(follow(&ws, 2, NULL, "two")));
	assert_true(failed(follow(&ws, 3, &one, "two")));
	struct hash other = hash_sha256(SPAN_LIT("other"));
	assert_true(failed(follow(&ws, 2, &other, "two")));
	assert_false(failed(follow(&ws, 2, &one, "two")));
}

static void test_there_is_a_maximum(void **state)
{
	(void)state;
	struct writers ws = {0};
	char name[ENTRY_WRITER_MAX];
	for (unsigned i = 0; i < WRITERS_MAX; i++) {
		snprintf(name, sizeof(name), "w@%u", i);
		assert_non_null(writers_get(&ws, name));
	}
	assert_null(writers_get(&ws, "one more"));
	assert_non_null(writers_get(&ws, "w@0"));
}

static void test_saved_state(void **state)
{
	(void)state;
	char dir[] = "/tmp/sp-writers-XXXXXX";
	struct writers ws = {0}, again;
	uint64_t size;
	assert_non_null(mkdtemp(dir));
	writers_load(&again, dir, &size);
	assert_true(size == 0 && again.n == 0);
	assert_false(failed(follow(&ws, 1, NULL, "one")));
	assert_non_null(writers_get(&ws, "silent@0"));
	assert_false(failed(writers_save(&ws, dir, 77, NULL)));
	writers_load(&again, dir, &size);
	assert_true(size == 77 && again.n == 1 && again.w[0].seq == 1 && hash_eq(&again.w[0].last, &ws.w[0].last));
	static const char *const damaged[] = {"", "{", "{\"size\":-1,\"writers\":[]}", "{\"size\":5,\"writers\":[{}]}",
	                                      "{\"size\":5,\"writers\":[{\"name\":\"a\",\"seq\":0,\"last\":\"00\"}]}"};
	AUTO_FREE char *path = mem_printf("%s/writers", dir);
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		assert_false(failed(file_write_atomic(path, span_of(damaged[i]), 0600, NULL)));
		writers_load(&again, dir, &size);
		assert_true(again.n == 0 && size == 0);
	}
	assert_false(failed(file_remove_tree(dir, NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_names_and_roles),
	        cmocka_unit_test(test_following),
	        cmocka_unit_test(test_there_is_a_maximum),
	        cmocka_unit_test(test_saved_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

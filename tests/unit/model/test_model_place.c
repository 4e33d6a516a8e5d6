#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "model/model_place.h"

struct one {
	struct model_place *place;
	struct loop *loop;
	char *told; // the names of those whose place it was, in order
	char name;
};

static void yours(void *arg)
{
	struct one *o = arg;
	size_t n = strlen(o->told);
	o->told[n] = o->name;
	o->told[n + 1] = '\0';
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void turn_loop(struct loop *l)
{
	struct loop_timer *end = loop_timer_start(l, 5, stop, l);
	(void)end;
	loop_run(l);
}

static void first_come_first_served(void **state)
{
	(void)state;
	struct loop *l;
	struct err e;
	char told[16] = "";
	assert_false(failed(loop_new(&l, &e)));
	struct model_line *line = model_place_line_new(l, 2);
	struct one all[6];
	for (int i = 0; i < 6; i++) {
		all[i] = (struct one){NULL, l, told, (char)('a' + i)};
		all[i].place = model_place_take(line, yours, &all[i]);
		assert_string_equal(told, ""); // never from inside the call
	}
	turn_loop(l);
	assert_string_equal(told, "ab");
	model_place_leave(&all[2].place); // out of the middle of the line
	model_place_leave(&all[2].place);
	turn_loop(l);
	assert_string_equal(told, "ab");
	model_place_leave(&all[0].place);
	assert_null(all[0].place);
	turn_loop(l);
	assert_string_equal(told, "abd");
	// One who leaves between being served and being told is not told, and the next is.
	model_place_leave(&all[1].place);
	model_place_leave(&all[4].place);
	turn_loop(l);
	assert_string_equal(told, "abdf");
	model_place_leave(&all[3].place);
	model_place_leave(&all[5].place);
	all[0].place = model_place_take(line, yours, &all[0]);
	all[1].place = model_place_take(line, yours, &all[1]);
	turn_loop(l);
	assert_string_equal(told, "abdfab");
	model_place_leave(&all[0].place);
	model_place_leave(&all[1].place);
	model_place_line_free(line);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(first_come_first_served)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

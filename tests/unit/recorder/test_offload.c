// The thread beside the loop: jobs one by one, told on the loop, waited for at the end.
#include "unit/unit.h"

#include <pthread.h>

#include "base/err.h"
#include "recorder/offload.h"

struct job {
	struct loop *loop;
	struct offload *o;
	pthread_t me;
	unsigned ran, told;
};

static void work(void *arg)
{
	struct job *j = arg;
	assert_false(pthread_equal(j->me, pthread_self()));
	j->ran++;
}

static void told(void *arg)
{
	struct job *j = arg;
	assert_true(pthread_equal(j->me, pthread_self()));
	assert_false(offload_busy(j->o));
	if (++j->told == 500)
		loop_stop(j->loop);
	else
		offload_run(j->o, work, told, j);
	assert_int_equal(j->told == 500 ? j->ran : j->told, j->told);
}

static void test_one_after_the_other(void **state)
{
	(void)state;
	struct job j = {.me = pthread_self()};
	assert_false(failed(loop_new(&j.loop, NULL)));
	j.o = offload_start(j.loop);
	assert_false(offload_busy(j.o));
	offload_run(j.o, work, told, &j);
	assert_true(offload_busy(j.o));
	loop_run(j.loop);
	assert_int_equal(j.ran, 500);
	offload_stop(&j.o);
	loop_free(j.loop);
}

static void test_stopping_waits_for_the_job(void **state)
{
	(void)state;
	struct job j = {.me = pthread_self()};
	assert_false(failed(loop_new(&j.loop, NULL)));
	j.o = offload_start(j.loop);
	offload_run(j.o, work, told, &j);
	offload_stop(&j.o);
	assert_true(j.ran == 1 && j.told == 0);
	offload_stop(&j.o);
	loop_free(j.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_one_after_the_other),
	        cmocka_unit_test(test_stopping_waits_for_the_job),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

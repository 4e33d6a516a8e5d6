// The loop: order, cancellation from inside callbacks, children, signals, threads, and many timers.
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"

struct fixture {
	struct loop *loop;
	struct loop_timer *guard;
	int calls;
	int code, status;
	uint64_t at[8];
	int pair[2];
	struct loop_fd *fds[2];
	struct loop_timer *timers[4];
	struct loop_signal *signal;
	struct loop_wake *wake;
	int n;
};

static void hung(void *arg)
{
	(void)arg;
	fail_msg("the loop waited for something that never came");
}

static int setup(void **state)
{
	struct err e;
	struct fixture *f = NEW(struct fixture);
	assert_false(failed(loop_new(&f->loop, &e)));
	f->guard = loop_timer_start(f->loop, 20000, hung, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, f->pair), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 2; i++) {
		loop_fd_cancel(&f->fds[i]);
		fd_close(&f->pair[i]);
	}
	loop_timer_cancel(&f->guard);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void stop(void *arg)
{
	struct fixture *f = arg;
	f->calls++;
	loop_stop(f->loop);
}

static void restart_at_once(void *arg)
{
	struct fixture *f = arg;
	if (++f->calls == 3)
		loop_stop(f->loop);
	else
		loop_timer_start(f->loop, 0, restart_at_once, f);
}

// A timer of 0 ms that starts another runs in turns, so descriptors get theirs in between.
static void write_seen(void *arg, uint32_t events)
{
	struct fixture *f = arg;
	assert_int_equal(events, EPOLLOUT);
	f->n++;
}

static void test_zero_timers_share_turns(void **state)
{
	struct fixture *f = *state;
	f->fds[0] = loop_fd_start(f->loop, f->pair[0], EPOLLOUT, write_seen, f);
	loop_timer_start(f->loop, 0, restart_at_once, f);
	loop_run(f->loop);
	assert_int_equal(f->calls, 3);
	assert_true(f->n >= 3);
}

static void record_time(void *arg)
{
	struct fixture *f = arg;
	f->at[f->calls++] = clock_mono_us();
}

static void test_timers_never_early(void **state)
{
	struct fixture *f = *state;
	uint64_t t0 = clock_mono_us();
	loop_timer_start(f->loop, 30, record_time, f);
	loop_timer_start(f->loop, 10, record_time, f);
	loop_timer_start(f->loop, 20, record_time, f);
	loop_timer_start(f->loop, 31, stop, f);
	struct loop_timer *never = loop_timer_start(f->loop, UINT64_MAX, hung, f);
	loop_run(f->loop);
	loop_timer_cancel(&never);
	assert_null(never);
	for (int i = 0; i < 3; i++)
		assert_true(f->at[i] - t0 >= (uint64_t)(i + 1) * 10000);
}

static void cancel_next(void *arg)
{
	struct fixture *f = arg;
	f->timers[0] = NULL;
	loop_timer_cancel(&f->timers[1]);
	loop_timer_start(f->loop, 0, stop, f);
}

static void test_timer_cancelled_by_another(void **state)
{
	struct fixture *f = *state;
	f->timers[0] = loop_timer_start(f->loop, 0, cancel_next, f);
	f->timers[1] = loop_timer_start(f->loop, 0, hung, f);
	loop_run(f->loop);
	assert_int_equal(f->calls, 1);
}

struct many {
	struct fixture *f;
	struct loop_timer *h;
	uint64_t lo, hi;         // its deadline lies between
	struct many *last_fired; // in the first element
	int left;                // in the first element
	struct many *first;
};

static void start_one(struct many *m, uint64_t ms, void (*fired)(void *))
{
	m->lo = clock_mono_us() + ms * 1000;
	m->h = loop_timer_start(m->f->loop, ms, fired, m);
	m->hi = clock_mono_us() + ms * 1000;
}

static void one_of_many(void *arg)
{
	struct many *m = arg, *last = m->first->last_fired;
	m->h = NULL;
	assert_true(clock_mono_us() >= m->lo);
	assert_true(last == NULL || last->lo <= m->hi);
	m->first->last_fired = m;
	if (--m->first->left == 0)
		loop_stop(m->f->loop);
}

// Cancelling from anywhere in the heap must keep it a heap.
static void test_many_timers_in_order(void **state)
{
	struct fixture *f = *state;
	enum { N = 5000 };
	struct many *all = mem_zero(N * sizeof(*all));
	for (int i = 0; i < N; i++) {
		all[i] = (struct many){.f = f, .first = all};
		start_one(&all[i], random_below(40), one_of_many);
	}
	for (int i = 0; i < N; i++) {
		if (i % 3 != 2)
			loop_timer_cancel(&all[i].h);
		if (i % 3 == 1)
			start_one(&all[i], random_below(100), one_of_many);
		all->left += all[i].h != NULL;
	}
	loop_run(f->loop);
	assert_int_equal(all->left, 0);
	free(all);
}

static void cancel_both(void *arg, uint32_t events)
{
	(void)events;
	struct fixture *f = arg;
	f->calls++;
	loop_fd_cancel(&f->fds[0]);
	loop_fd_cancel(&f->fds[1]);
	loop_stop(f->loop);
}

// Both are ready in one batch; whichever runs first cancels the other, which must not run although its event was fetched.
static void test_cancel_within_batch(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 2; i++)
		f->fds[i] = loop_fd_start(f->loop, f->pair[i], EPOLLOUT, cancel_both, f);
	loop_run(f->loop);
	loop_timer_start(f->loop, 0, stop, f);
	loop_run(f->loop);
	assert_int_equal(f->calls, 2);
}

static void told(void *arg, uint32_t events)
{
	struct fixture *f = arg;
	f->code = (int)events;
	f->calls++;
	loop_stop(f->loop);
}

// A hang-up is told as what is watched, and not at all (no spinning) when nothing is.
static void test_hang_up(void **state)
{
	struct fixture *f = *state;
	f->fds[0] = loop_fd_start(f->loop, f->pair[0], EPOLLIN, told, f);
	fd_close(&f->pair[1]);
	loop_run(f->loop);
	assert_int_equal(f->code, EPOLLIN);
	loop_fd_watch(f->fds[0], 0);
	loop_timer_start(f->loop, 5, stop, f);
	loop_run(f->loop);
	assert_int_equal(f->calls, 2);
	loop_fd_watch(f->fds[0], EPOLLOUT);
	loop_run(f->loop);
	assert_int_equal(f->code, EPOLLOUT);
}

static void ended(void *arg, int code, int status)
{
	struct fixture *f = arg;
	f->code = code;
	f->status = status;
	f->calls++;
	loop_stop(f->loop);
}

static void test_children(void **state)
{
	struct fixture *f = *state;
	pid_t pid = fork();
	if (pid == 0)
		_exit(7);
	loop_child_start(f->loop, pid, ended, f);
	loop_run(f->loop);
	assert_int_equal(f->code, CLD_EXITED);
	assert_int_equal(f->status, 7);

	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	struct loop_child *h = loop_child_start(f->loop, pid, ended, f);
	loop_child_cancel(&h);
	assert_null(h);
	loop_child_start(f->loop, pid, ended, f);
	kill(pid, SIGKILL);
	loop_run(f->loop);
	assert_int_equal(f->code, CLD_KILLED);
	assert_int_equal(f->status, SIGKILL);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_child_without_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){3, old.rlim_max};
	pid_t pid = fork();
	if (pid == 0)
		_exit(9);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	loop_child_start(f->loop, pid, ended, f);
	loop_run(f->loop);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(f->status, 9);
}

static void test_signals(void **state)
{
	struct fixture *f = *state;
	struct loop_signal *h = loop_signal_start(f->loop, SIGUSR1, stop, f);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	loop_run(f->loop);
	assert_int_equal(f->calls, 1);
	loop_signal_cancel(&h);
	assert_null(h);
}

static void *wake_often(void *arg)
{
	for (int i = 0; i < 1000; i++)
		loop_wake(arg);
	return NULL;
}

static void cancel_wake(void *arg)
{
	struct fixture *f = arg;
	f->calls++;
	loop_stop(f->loop);
}

static void test_wake_from_thread(void **state)
{
	struct fixture *f = *state;
	f->wake = loop_wake_start(f->loop, cancel_wake, f);
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, wake_often, f->wake), 0);
	loop_run(f->loop);
	pthread_join(t, NULL);
	loop_wake(f->wake);
	int before = f->calls;
	loop_run(f->loop);
	assert_int_equal(f->calls, before + 1);
	loop_wake_cancel(&f->wake);
	assert_null(f->wake);
}

static void test_stop_before_run(void **state)
{
	struct fixture *f = *state;
	loop_stop(f->loop);
	loop_run(f->loop);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_zero_timers_share_turns),
	        T(test_timers_never_early),
	        T(test_timer_cancelled_by_another),
	        T(test_many_timers_in_order),
	        T(test_cancel_within_batch),
	        T(test_hang_up),
	        T(test_children),
	        T(test_child_without_descriptors),
	        T(test_signals),
	        T(test_wake_from_thread),
	        T(test_stop_before_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

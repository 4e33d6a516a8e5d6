// Accepting: connections wait while there is no room, and while the process has no descriptor left; nothing spins meanwhile.
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/local_socket.h"

struct fixture {
	struct loop *loop;
	struct listener *listener;
	struct loop_timer *timer;
	struct rlimit before;
	unsigned asked, accepted;
	unsigned wanted; // accepted ones, to stop at
};

static void incoming(void *arg)
{
	struct fixture *f = arg;
	f->asked++;
	int fd = listener_accept(f->listener, NULL, NULL);
	f->accepted += fd >= 0;
	fd_close(&fd);
	if (f->accepted == f->wanted)
		loop_stop(f->loop);
}

static void stop(void *arg)
{
	struct fixture *f = arg;
	f->timer = NULL;
	loop_stop(f->loop);
}

static void run_for(struct fixture *f, uint64_t ms)
{
	f->timer = loop_timer_start(f->loop, ms, stop, f);
	loop_run(f->loop);
	loop_timer_cancel(&f->timer);
}

static int dial(const char *path)
{
	struct sockaddr_un a;
	int dir, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_false(failed(local_socket_address(path, &a, &dir, NULL)));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	fd_close(&dir);
	return fd;
}

static void give_descriptors_back(void *arg)
{
	struct fixture *f = arg;
	f->timer = NULL;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &f->before), 0);
}

static void test_waiting(void **state)
{
	(void)state;
	char dir[] = "/tmp/sp-listener-XXXXXX";
	assert_non_null(mkdtemp(dir));
	AUTO_FREE char *path = mem_printf("%s/socket", dir);
	struct fixture f = {.wanted = 1};
	struct stat st;
	struct err e;
	int fd, again;
	assert_false(failed(loop_new(&f.loop, NULL)));
	assert_false(failed(local_socket_listen(path, &fd, NULL)));
	assert_true(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	assert_true(failed(local_socket_listen(path, &again, &e)));
	assert_int_equal(e.kind, ERR_CONFLICT);
	f.listener = listener_start(f.loop, fd, "test", incoming, &f);

	int client = dial(path);
	listener_room(f.listener, false);
	run_for(&f, 20);
	assert_int_equal(f.asked, 0);
	listener_room(f.listener, true);

	// Accepting needs a descriptor above those that are open.
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &f.before), 0);
	int lowest = dup(client);
	struct rlimit none = {(rlim_t)lowest, f.before.rlim_max};
	fd_close(&lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	f.timer = loop_timer_start(f.loop, 250, give_descriptors_back, &f);
	loop_run(f.loop);
	assert_int_equal(f.accepted, 1);
	assert_in_range(f.asked, 2, 6); // once in each pause
	loop_timer_cancel(&f.timer);

	fd_close(&client);
	listener_stop(&f.listener);
	loop_free(f.loop);
	// Nobody listens there any more, so its place may be taken; a file that is no socket is left alone.
	assert_false(failed(local_socket_listen(path, &fd, NULL)));
	fd_close(&fd);
	assert_false(failed(file_write_atomic(path, SPAN_LIT("mine"), 0600, NULL)));
	assert_true(failed(local_socket_listen(path, &fd, &e)));
	assert_non_null(strstr(e.msg, "is not a socket"));
	assert_false(failed(file_remove_tree(dir, NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

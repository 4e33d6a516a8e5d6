// What a role can't do any more after lock-down, each tried before it too: what fails only then is shown to be refused by it.
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sandbox/kernel.h"
#include "sandbox/lockdown.h"

static char dir_[64];
static int listener_; // bound before

static int try_bind(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	AUTO_FD int s = socket(AF_INET, SOCK_STREAM, 0);
	return s < 0 ? errno : bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 ? 0 : errno;
}

static int try_listen(void)
{
	AUTO_FD int s = socket(AF_INET, SOCK_STREAM, 0);
	return listen(s, 1) == 0 ? 0 : errno;
}

static int try_connect(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	AUTO_FD int s = socket(AF_INET, SOCK_STREAM, 0);
	return getsockname(listener_, (struct sockaddr *)&a, &len) == 0 && connect(s, (struct sockaddr *)&a, len) == 0 ? 0
	                                                                                                               : errno;
}

static int try_accept(void)
{
	int err = try_connect();
	AUTO_FD int s = err == 0 ? accept(listener_, NULL, NULL) : -1;
	return s >= 0 ? 0 : err != 0 ? err : errno;
}

static int try_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : errno;
}

static int try_exec(void) // without a program: what is refused is refused before it is looked for
{
	char *argv[] = {NULL};
	return execve("/no/such/program", argv, argv) == 0 ? 0 : errno == ENOENT ? 0 : errno;
}

static void *nothing(void *arg)
{
	return arg;
}

static int try_thread(void)
{
	pthread_t t;
	int err = pthread_create(&t, NULL, nothing, NULL);
	return err != 0 ? err : pthread_join(t, NULL);
}

static int make_file(const char *dir)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/probe", dir);
	AUTO_FD int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	int err = fd >= 0 ? 0 : errno;
	if (fd >= 0)
		unlink(path);
	return err;
}

static int try_write_inside(void)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/writable", dir_);
	return make_file(path);
}

static int try_write_outside(void)
{
	return make_file(dir_);
}

static int try_read_outside(void)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/secret", dir_);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? 0 : errno;
}

static int try_read_usr(void)
{
	AUTO_FD int fd = open("/usr/bin/env", O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? 0 : errno;
}

static int try_unshare(void)
{
	return unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
}

static int try_vsock(void)
{
	AUTO_FD int s = socket(40, SOCK_STREAM, 0);
	return s >= 0 ? 0 : errno;
}

struct attempt {
	const char *name;
	int (*run)(void);
	int after; // 0: still works
	bool landlock;
};

#ifdef __SANITIZE_ADDRESS__
#define FORK_AFTER 0
#else
#define FORK_AFTER EPERM
#endif

static const struct attempt attempts[] = {
        {"bind", try_bind, EPERM, false},
        {"listen", try_listen, EPERM, false},
        {"connect", try_connect, 0, false},
        {"accept", try_accept, 0, false},
        {"fork", try_fork, FORK_AFTER, false},
        {"exec", try_exec, EPERM, false},
        {"write inside", try_write_inside, 0, false},
        {"write outside", try_write_outside, EACCES, true},
        {"read outside", try_read_outside, EACCES, true},
        {"read /usr", try_read_usr, 0, false},
        {"thread", try_thread, 0, false},
        {"vsock", try_vsock, EAFNOSUPPORT, false},
        {"unshare", try_unshare, EPERM, false},
};

static void prepare(void)
{
	char path[96];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	snprintf(dir_, sizeof(dir_), "/tmp/sallyport-lockdown.XXXXXX");
	assert_non_null(mkdtemp(dir_));
	snprintf(path, sizeof(path), "%s/writable", dir_);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/secret", dir_);
	assert_false(failed(file_write_atomic(path, SPAN_LIT("x"), 0600, NULL)));
	listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener_, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener_, 16), 0);
}

// In a child: everything once with and once without lock-down. The exit status is the number of the attempt that went wrong.
static int in_child(bool locked)
{
	struct err e;
	char path[96];
	int landlock = 0;
	snprintf(path, sizeof(path), "%s/writable", dir_);
	const char *const writable[] = {path, NULL};
	struct lockdown_opts opts = {.writable = writable, .network = true};
	if (locked && failed(lockdown_apply(&opts, &landlock, &e))) {
		fprintf(stderr, "%s\n", e.msg);
		return 100;
	}
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		int want = locked && (!attempts[i].landlock || landlock > 0) ? attempts[i].after : 0;
		int got = attempts[i].run();
		bool no_vsock = !locked && attempts[i].run == try_vsock && got == EAFNOSUPPORT; // this kernel has none
		if (got != want && !no_vsock) {
			fprintf(stderr, "%s: %s, not %s\n", attempts[i].name, strerror(got), strerror(want));
			return 1 + (int)i;
		}
	}
	return 0;
}

static void run_child(bool locked)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(in_child(locked));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void refuses_only_after_lockdown(void **state)
{
	(void)state;
	prepare();
	run_child(false);
	run_child(true);
	assert_false(failed(file_remove_tree(dir_, NULL)));
	close(listener_);
}

static void comes_before_threads(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		pthread_t t;
		int ends[2];
		struct err e;
		struct lockdown_opts opts = {0};
		if (pipe(ends) != 0 || pthread_create(&t, NULL, (void *(*)(void *))(void *)pause, NULL) != 0)
			_exit(2);
		_exit(failed(lockdown_apply(&opts, NULL, &e)) && e.kind == ERR_CONFLICT ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(refuses_only_after_lockdown),
	        cmocka_unit_test(comes_before_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

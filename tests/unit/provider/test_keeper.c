// A role's process beside its spawner: killed, it comes again and finds its sandboxes; ending by itself, it ends it all.
#include "unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "provider/local.h"
#include "sandbox/spawner.h"

#define GOOD_END 42

static struct loop *cleaning_;

struct child {
	struct loop *loop;
	int tell; // a byte for each time it started: 'm' made, 'f' found
};

static void created(void *arg, struct provider_sandbox *sb, bool found, const struct err *e)
{
	struct child *c = arg;
	char byte = e != NULL || sb == NULL ? 'e' : found ? 'f' : 'm';
	if (write(c->tell, &byte, 1) != 1)
		_exit(3);
	if (found)
		_exit(GOOD_END);
}

static void start(void *arg, int spawner_fd)
{
	struct child *c = arg;
	if (failed(loop_new(&c->loop, NULL)))
		_exit(2);
	struct provider *p = provider_local_new(c->loop, spawner_fd, NULL, NULL);
	p->ops->create(p, "s1", created, c);
	loop_run(c->loop);
}

static pid_t keeper_start(const char *dir, int tell)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	struct child c = {.tell = tell};
	struct spawner_opts opts = {.data_dir = dir, .root = "host-usr", .limits = {.processes = 64, .files = 256}};
	struct err e;
	int code = 1;
	if (failed(spawner_run(&opts, start, &c, &code, &e)))
		fprintf(stderr, "%s\n", e.msg);
	_exit(code);
}

// The process that the keeper runs: its child that is not the spawner, which was its first.
static pid_t child_of(pid_t keeper)
{
	char path[64], text[256];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", keeper, keeper);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int spawner, child = -1;
	text[n > 0 ? n : 0] = '\0';
	return sscanf(text, "%d %d", &spawner, &child) == 2 ? child : -1;
}

static void killed(void *arg, const struct err *e)
{
	assert_null(e);
	loop_stop(arg);
}

static void made(void *arg, struct provider_sandbox *sb, bool found, const struct err *e)
{
	struct provider *p = arg;
	(void)found;
	assert_null(e);
	p->ops->kill(p, sb, true, killed, cleaning_);
}

// The files belong to ids that only a spawner can act for.
static void clean(const char *dir)
{
	struct spawner_opts opts = {.data_dir = dir, .root = "host-usr", .limits = {.processes = 64, .files = 256}};
	struct spawner s;
	int fd;
	assert_false(failed(spawner_start(&opts, &s, NULL)));
	assert_false(failed(spawner_connect(&s, &fd, NULL)));
	assert_false(failed(loop_new(&cleaning_, NULL)));
	struct provider *p = provider_local_new(cleaning_, fd, NULL, NULL);
	p->ops->create(p, "s1", made, p);
	loop_run(cleaning_);
	p->ops->free(p);
	loop_free(cleaning_);
	spawner_stop(&s);
	assert_false(failed(file_remove_tree(dir, NULL)));
}

static void comes_again_and_finds_its_sandboxes(void **state)
{
	char dir[] = "/tmp/sallyport-keeper.XXXXXX", byte;
	int ends[2], status;
	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t keeper = keeper_start(dir, ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'm');
	pid_t child = child_of(keeper);
	assert_true(child > 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'f');
	assert_int_equal(waitpid(keeper, &status, 0), keeper);
	assert_int_equal(WEXITSTATUS(status), GOOD_END);
	bool dead;
	struct err e;
	assert_false(failed(provider_local_session_is_dead(dir, "s1", &dead, &e)));
	assert_true(dead);
	close(ends[0]);
	close(ends[1]);
	clean(dir);
}

// SIGKILL to the keeper reaches all: the child, the spawner, the sandbox.
static void all_end_with_the_keeper(void **state)
{
	char dir[] = "/tmp/sallyport-keeper.XXXXXX", byte;
	int ends[2];
	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t keeper = keeper_start(dir, ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	kill(keeper, SIGKILL);
	assert_int_equal(waitpid(keeper, NULL, 0), keeper);
	assert_int_equal(read(ends[0], &byte, 1), 0); // the child had the pipe's other end
	bool dead = false;
	struct err e;
	for (int i = 0; i < 2000 && !dead; i++) { // there is no event that somebody else's child has ended
		assert_false(failed(provider_local_session_is_dead(dir, "s1", &dead, &e)));
		usleep(dead ? 0 : 10000);
	}
	assert_true(dead);
	close(ends[0]);
	clean(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(comes_again_and_finds_its_sandboxes),
	        cmocka_unit_test(all_end_with_the_keeper),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

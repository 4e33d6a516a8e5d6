// A session's files: names that could lead elsewhere are refused, the lock tells the living from the dead, and hostile trees
// are removed.
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "sandbox/session.h"

struct place {
	char dir[64];
	int fd;
	struct err err;
};

static int setup(void **state)
{
	struct place *t = NEW(struct place);
	snprintf(t->dir, sizeof(t->dir), "/tmp/sallyport-session.XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	t->fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct place *t = *state;
	close(t->fd);
	assert_false(failed(file_remove_tree(t->dir, NULL)));
	free(t);
	return 0;
}

static void names(void **state)
{
	static const char *const bad[] = {
	        "",    ".",   "..",       "a/b", "/a",
	        "a b", "a.b", "\xc3\xa4", "a\n", "12345678901234567890123456789012345678901234567890123456789012345"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(session_name_ok(bad[i]));
	assert_true(session_name_ok("sesn_01ABCdef-9"));
	assert_true(session_name_ok("1234567890123456789012345678901234567890123456789012345678901234"));
}

static bool is_dead(struct place *t, const char *session)
{
	bool dead;
	assert_false(failed(session_is_dead(t->fd, session, &dead, &t->err)));
	return dead;
}

static void the_lock_tells_the_living(void **state)
{
	struct place *t = *state;
	struct session s, other;
	assert_true(is_dead(t, "a"));
	assert_false(failed(session_open(t->fd, "a", &s, &t->err)));
	assert_false(is_dead(t, "a"));
	assert_true(failed(session_open(t->fd, "a", &other, &t->err)));
	assert_int_equal(t->err.kind, ERR_CONFLICT);
	close(s.lock);
	assert_true(is_dead(t, "a"));
}

// The lock is released when its holders have closed it; a process that still dies is not dead yet.
static void who_was_noted_must_be_gone_too(void **state)
{
	struct place *t = *state;
	struct session s;
	assert_false(failed(session_open(t->fd, "a", &s, &t->err)));
	pid_t pid = fork();
	if (pid == 0) {
		close(s.lock);
		pause();
		_exit(0);
	}
	assert_false(failed(session_note(s.lock, pid, &t->err)));
	close(s.lock);
	assert_false(is_dead(t, "a"));
	kill(pid, SIGKILL);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(is_dead(t, "a")); // unreaped, but nothing of it runs
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(is_dead(t, "a"));
}

static void a_note_that_says_nothing_proves_nothing(void **state)
{
	struct place *t = *state;
	struct session s;
	assert_false(failed(session_open(t->fd, "a", &s, &t->err)));
	assert_int_equal(pwrite(s.lock, "garbage", 7, 0), 7);
	close(s.lock);
	assert_false(is_dead(t, "a"));
	char another_boot[] = "00000000-0000-0000-0000-000000000000 1 1\n";
	char path[96];
	snprintf(path, sizeof(path), "%s/a/lock", t->dir);
	assert_false(failed(file_write_atomic(path, span_of(another_boot), 0600, NULL)));
	assert_true(is_dead(t, "a"));
}

// Deeper than any path, unreadable, with names like the remover's own, and links out.
static void a_hostile_tree_is_removed(void **state)
{
	struct place *t = *state;
	struct session s;
	struct stat st;
	assert_false(failed(session_open(t->fd, "a", &s, &t->err)));
	close(s.lock);
	int canary = openat(t->fd, "canary", O_CREAT | O_WRONLY, 0600);
	close(canary);
	int dir = openat(t->fd, "a/workspace", O_RDONLY | O_DIRECTORY);
	char name[200];
	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < 600; i++) {
		assert_int_equal(mkdirat(dir, name, 0700), 0);
		int next = openat(dir, name, O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		if (i % 100 == 0) {
			assert_int_equal(symlinkat("/", dir, "link"), 0);
			assert_int_equal(symlinkat(t->dir, dir, "link2"), 0);
			assert_int_equal(mkdirat(dir, ".sallyport-removing-0", 0700), 0);
			assert_int_equal(mkdirat(dir, ".sallyport-removing-0/x", 0), 0);
			assert_int_equal(fchmodat(dir, ".sallyport-removing-0", 0, 0), 0);
		}
		close(dir);
		dir = next;
	}
	close(dir);
	if (failed(session_remove(t->fd, "a", &t->err)))
		fail_msg("%s", t->err.msg);
	assert_int_not_equal(fstatat(t->fd, "a", &st, 0), 0);
	assert_int_equal(fstatat(t->fd, "canary", &st, 0), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CASE(names),
	        CASE(the_lock_tells_the_living),
	        CASE(who_was_noted_must_be_gone_too),
	        CASE(a_note_that_says_nothing_proves_nothing),
	        CASE(a_hostile_tree_is_removed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

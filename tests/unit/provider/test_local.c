// The local place with real sandboxes: made and found by session, programs, channels, ends, and what outlives whom.
#include "unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "provider/local.h"
#include "sandbox/spawner.h"
#include "sandbox/wire.h"

static const char *const env_[] = {"PATH=/usr/bin:/bin", "HOME=/home/agent", NULL};

struct place {
	char dir[64];
	struct spawner spawner;
	struct loop *loop;
	struct provider *p;
	struct provider_sandbox *sb;
	// what the last callback brought
	unsigned calls;
	bool found, lost;
	int code, status, fd;
	struct err err; // kind ERR_NONE: none
};

static void noted(struct place *t, const struct err *e)
{
	t->calls++;
	t->err = e != NULL ? *e : (struct err){.kind = ERR_NONE};
	loop_stop(t->loop);
}

static void created(void *arg, struct provider_sandbox *sb, bool found, const struct err *e)
{
	struct place *t = arg;
	t->sb = sb;
	t->found = found;
	noted(t, e);
}

static void exited(void *arg, int code, int status, const struct err *e)
{
	struct place *t = arg;
	t->code = code;
	t->status = status;
	noted(t, e);
}

static void attached(void *arg, int fd, const struct err *e)
{
	((struct place *)arg)->fd = fd;
	noted(arg, e);
}

static void killed(void *arg, const struct err *e)
{
	noted(arg, e);
}

static void lost(void *arg)
{
	((struct place *)arg)->lost = true;
}

static void timed_out(void *arg)
{
	(void)arg;
	fail_msg("no callback within 20 s");
}

static void wait_call(struct place *t)
{
	struct loop_timer *timer = loop_timer_start(t->loop, 20000, timed_out, t);
	loop_run(t->loop);
	loop_timer_cancel(&timer);
}

static void place_connect(struct place *t)
{
	int fd;
	struct err e;
	assert_false(failed(loop_new(&t->loop, &e)));
	if (failed(spawner_connect(&t->spawner, &fd, &e)))
		fail_msg("%s", e.msg);
	t->p = provider_local_new(t->loop, fd, lost, t);
}

static void place_disconnect(struct place *t)
{
	t->p->ops->free(t->p);
	loop_free(t->loop);
	t->p = NULL;
}

static void spawner_again(struct place *t)
{
	struct spawner_opts opts = {.data_dir = t->dir, .root = "host-usr", .limits = {.processes = 64, .files = 256}};
	struct err e;
	if (failed(spawner_start(&opts, &t->spawner, &e)))
		fail_msg("%s", e.msg);
}

static int place_setup(void **state)
{
	struct place *t = NEW(struct place);
	snprintf(t->dir, sizeof(t->dir), "/tmp/sallyport-local.XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	spawner_again(t);
	place_connect(t);
	*state = t;
	return 0;
}

static void create(struct place *t, const char *session);

// The files belong to ids that only a spawner can act for.
static int place_teardown(void **state)
{
	static const char *const sessions[] = {"s1", "s2"};
	struct place *t = *state;
	if (t->p == NULL) {
		spawner_stop(&t->spawner);
		spawner_again(t);
		place_connect(t);
	}
	for (size_t i = 0; i < ARRAY_LEN(sessions); i++) {
		create(t, sessions[i]);
		t->p->ops->kill(t->p, t->sb, true, killed, t);
		wait_call(t);
	}
	place_disconnect(t);
	spawner_stop(&t->spawner);
	assert_false(failed(file_remove_tree(t->dir, NULL)));
	free(t);
	return 0;
}

static void create(struct place *t, const char *session)
{
	t->p->ops->create(t->p, session, created, t);
	wait_call(t);
	if (t->err.kind != ERR_NONE)
		fail_msg("%s", t->err.msg);
}

// Runs a shell command and collects what it prints.
static const char *shell(struct place *t, const char *command)
{
	static char out[8192];
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	const char *argv[] = {"/bin/bash", "-c", command, NULL};
	struct provider_exec_opts opts = {
	        .argv = argv, .program_fd = -1, .env = env_, .stdin_fd = -1, .stdout_fd = ends[1], .stderr_fd = ends[1]};
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	close(ends[1]);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_NONE);
	size_t len = 0;
	ssize_t n;
	while (len < sizeof(out) - 1 && (n = read(ends[0], out + len, sizeof(out) - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(ends[0]);
	return out;
}

static void finds_the_same_sandbox(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	assert_false(t->found);
	assert_string_equal(shell(t, "echo one > /workspace/f; echo two > /tmp/g; echo hi"), "hi\n");
	create(t, "s1");
	assert_true(t->found);
	assert_string_equal(shell(t, "cat /workspace/f /tmp/g"), "one\ntwo\n");
	create(t, "s2");
	assert_false(t->found);
	assert_string_equal(shell(t, "ls /workspace /tmp"), "/tmp:\n\n/workspace:\n");
}

static void tells_how_a_program_ended(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	shell(t, "exit 7");
	assert_int_equal(t->code, CLD_EXITED);
	assert_int_equal(t->status, 7);
	shell(t, "kill -TERM $$");
	assert_int_equal(t->code, CLD_KILLED);
	assert_int_equal(t->status, SIGTERM);
	const char *argv[] = {"/no/such/program", NULL};
	struct provider_exec_opts opts = {
	        .argv = argv, .program_fd = -1, .env = env_, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_NOT_FOUND);
}

static void refuses_what_leads_out_or_is_too_large(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), path = open("/etc/passwd", O_PATH | O_CLOEXEC);
	const char *argv[] = {"/bin/true", NULL, NULL};
	struct provider_exec_opts opts = {
	        .argv = argv, .program_fd = -1, .env = env_, .stdin_fd = dir, .stdout_fd = -1, .stderr_fd = -1};
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_DENIED);
	opts.stdin_fd = path;
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_DENIED);
	close(dir);
	close(path);
	char *large = mem_alloc(300 * 1024);
	memset(large, 'x', 300 * 1024 - 1);
	large[300 * 1024 - 1] = '\0';
	argv[1] = large;
	opts.stdin_fd = -1;
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_TOO_LARGE);
	free(large);
	static const char *const bad[] = {"",  "../x", "a/b",
	                                  ".", "a b",  "x23456789012345678901234567890123456789012345678901234567890123456"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		t->p->ops->create(t->p, bad[i], created, t);
		wait_call(t);
		assert_int_equal(t->err.kind, ERR_INVALID);
		assert_null(t->sb);
	}
}

// A program that echoes what comes over descriptor 3, from a memfd, and goes on when its client is gone.
static void channel_outlives_its_client(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	int program = memfd_create("sh", 0), bash = open("/bin/bash", O_RDONLY | O_CLOEXEC);
	char bytes[65536];
	ssize_t n;
	while ((n = read(bash, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(program, bytes, (size_t)n), n);
	close(bash);
	const char *argv[] = {"helper", "-c", "exec cat <&3 >&3", NULL};
	struct provider_exec_opts opts = {.argv = argv,
	                                  .program_fd = program,
	                                  .env = env_,
	                                  .stdin_fd = -1,
	                                  .stdout_fd = -1,
	                                  .stderr_fd = -1,
	                                  .channel = "tools"};
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	close(program);
	for (int i = 0; i < 2; i++) {
		t->p->ops->attach(t->p, t->sb, "tools", attached, t);
		wait_call(t);
		assert_int_equal(t->err.kind, ERR_NONE);
		assert_int_equal(send(t->fd, "hello", 5, 0), 5);
		struct timeval limit = {20, 0};
		assert_int_equal(setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
		n = recv(t->fd, bytes, sizeof(bytes), 0);
		assert_int_equal(n, 5);
		assert_memory_equal(bytes, "hello", 5);
		close(t->fd);
		place_disconnect(t);
		place_connect(t);
		create(t, "s1");
		assert_true(t->found);
	}
	t->p->ops->attach(t->p, t->sb, "other", attached, t);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_NOT_FOUND);
}

static bool is_dead(struct place *t, const char *session)
{
	bool dead;
	assert_false(failed(provider_local_session_is_dead(t->dir, session, &dead, &t->err)));
	return dead;
}

static void workspace_outlives_the_spawner(void **state)
{
	struct place *t = *state;
	struct stat before, after;
	char path[128];
	snprintf(path, sizeof(path), "%s/worker/sessions/s1/workspace", t->dir);
	assert_true(is_dead(t, "s1"));
	create(t, "s1");
	shell(t, "echo kept > /workspace/f");
	assert_false(is_dead(t, "s1"));
	assert_int_equal(stat(path, &before), 0);
	pid_t spawner = t->spawner.pid;
	kill(spawner, SIGKILL);
	t->p->ops->kill(t->p, t->sb, false, killed, t);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_UNREACHABLE);
	assert_true(t->lost);
	place_disconnect(t);
	spawner_stop(&t->spawner);
	spawner_again(t);
	place_connect(t);
	create(t, "s1"); // waits until every process of the old one is gone
	assert_false(t->found);
	assert_string_equal(shell(t, "cat /workspace/f"), "kept\n");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_uid, after.st_uid);
	t->p->ops->kill(t->p, t->sb, false, killed, t);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_NONE);
	assert_true(is_dead(t, "s1"));
	t->p->ops->kill(t->p, t->sb, true, killed, t);
	wait_call(t);
	assert_int_equal(t->err.kind, ERR_NONE);
	assert_int_not_equal(stat(path, &after), 0);
}

// Everything a sandbox's programs can kill is killed; it lives on, and what was lost is told.
static void survives_its_own_kill(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	const char *argv[] = {"/bin/sleep", "1000", NULL};
	struct provider_exec_opts opts = {
	        .argv = argv, .program_fd = -1, .env = env_, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	unsigned before = t->calls;
	// kill -1 spares the one that calls it, which therefore ends last.
	const char *shell_argv[] = {"/bin/bash", "-c", "kill -9 -1; exit 3", NULL};
	opts.argv = shell_argv;
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	while (t->calls < before + 2)
		wait_call(t);
	assert_string_equal(shell(t, "echo alive"), "alive\n");
}

static void signals_a_program_and_its_group(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	const char *argv[] = {"/bin/bash", "-c", "sleep 1000 | sleep 1000", NULL};
	struct provider_exec_opts opts = {
	        .argv = argv, .program_fd = -1, .env = env_, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	t->p->ops->exec(t->p, t->sb, &opts, exited, t);
	uint32_t exec = provider_local_last_exec(t->p);
	provider_local_signal(t->p, t->sb, exec, SIGKILL);
	wait_call(t);
	assert_int_equal(t->code, CLD_KILLED);
	assert_int_equal(t->status, SIGKILL);
	assert_string_equal(shell(t, "cat /proc/[0-9]*/comm | grep -c sleep"), "0\n");
}

static void ends_with_who_started_the_spawner(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	place_disconnect(t);
	spawner_stop(&t->spawner);
	assert_true(is_dead(t, "s1"));
}

static void memory_is_limited_together(void **state)
{
	struct place *t = *state;
	place_disconnect(t);
	spawner_stop(&t->spawner);
	struct spawner_opts opts = {
	        .data_dir = t->dir, .root = "host-usr", .limits = {.memory_bytes = 64 << 20, .processes = 64, .files = 256}};
	assert_false(failed(spawner_start(&opts, &t->spawner, &t->err)));
	place_connect(t);
	create(t, "s1");
	AUTO_JSON json_t *where = t->p->ops->where(t->p, t->sb);
	if (!json_is_true(json_object_get(json_object_get(where, "cgroup"), "memory"))) {
		print_message("no memory cgroup on this machine: nothing holds memory together\n");
		skip();
	}
	// bash keeps what it reads in a variable; /dev/shm counts too.
	shell(t, "v=$(head -c 20000000 /dev/zero | tr '\\0' x); echo ${#v}");
	assert_int_equal(t->status, 0);
	shell(t, "v=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#v}");
	assert_int_not_equal(t->status, 0);
}

// Whatever comes over the socket, the spawner goes on serving the others.
static void garbage_on_the_socket_harms_nobody(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	static char bytes[100 * 1024];
	unsigned seed = 1;
	for (int i = 0; i < 300; i++) {
		int fd;
		assert_false(failed(spawner_connect(&t->spawner, &fd, &t->err)));
		for (int k = 0; k < 4; k++) {
			struct wire_head *h = (struct wire_head *)(void *)bytes;
			size_t n = rand_r(&seed) % (i % 10 == 0 ? sizeof(bytes) : 300);
			for (size_t b = 0; b < n; b++)
				bytes[b] = (char)(rand_r(&seed) % (i % 2 ? 256 : 3));
			if (n > sizeof(*h) && k > 0) { // a head that is understood, and nonsense behind it
				h->kind = 1 + rand_r(&seed) % 9;
				snprintf(h->session, sizeof(h->session), "%s", k == 1 ? "s1" : k == 2 ? "../s1" : "s1");
				if (h->kind == WIRE_CREATE || h->kind == WIRE_KILL) // those would be obeyed
					h->session[0] = '/';
			}
			(void)send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		close(fd);
	}
	assert_string_equal(shell(t, "echo alive"), "alive\n");
}

static void says_where(void **state)
{
	struct place *t = *state;
	create(t, "s1");
	AUTO_JSON json_t *where = t->p->ops->where(t->p, t->sb);
	assert_string_equal(json_string_value(json_object_get(where, "place")), "local");
	assert_true(json_array_size(json_object_get(where, "layers")) >= 5);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CASE(finds_the_same_sandbox),
	        CASE(tells_how_a_program_ended),
	        CASE(refuses_what_leads_out_or_is_too_large),
	        CASE(channel_outlives_its_client),
	        CASE(workspace_outlives_the_spawner),
	        CASE(survives_its_own_kill),
	        CASE(signals_a_program_and_its_group),
	        CASE(ends_with_who_started_the_spawner),
	        CASE(garbage_on_the_socket_harms_nobody),
	        CASE(memory_is_limited_together),
	        CASE(says_where),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

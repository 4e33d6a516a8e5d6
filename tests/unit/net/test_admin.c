// The admin socket: asked by a thread with the blocking client, and by hand with hostile bytes.
#include "net/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct fixture {
	struct loop *loop;
	struct loop_timer *guard;
	struct loop_wake *wake;
	struct admin_server *server;
	char dir[64], path[512];
	struct admin_request *held;
	char verbs[256];
	// One question asked on a thread.
	json_t *question, *answer;
	uint64_t timeout_ms;
	struct result result;
	struct err err;
	// Or raw bytes.
	const char *raw;
	size_t raw_len;
	char reply[4096];
};

static void hung(void *arg)
{
	(void)arg;
	fail_msg("waited in vain");
}

static void answer_held(void *arg)
{
	struct fixture *f = arg;
	admin_answer(STEAL(f->held), json_pack("{s:s}", "late", "yes"));
}

static void handle(void *arg, struct admin_request *r, struct span verb, const json_t *request)
{
	struct fixture *f = arg;
	size_t used = strlen(f->verbs);
	snprintf(f->verbs + used, sizeof(f->verbs) - used, "%.*s|", SPAN_FMT(verb));
	if (span_is(verb, "echo")) {
		admin_answer(r, json_pack("{s:O}", "got", json_object_get(request, "what")));
	} else if (span_is(verb, "later")) {
		f->held = r;
		loop_timer_start(f->loop, 5, answer_held, f);
	} else if (span_is(verb, "never")) {
		f->held = r;
	} else if (span_is(verb, "huge")) {
		AUTO_FREE char *big = mem_alloc(2 << 20);
		memset(big, 'x', 2 << 20);
		admin_answer(r, json_pack("{s:s%}", "big", big, (size_t)(2 << 20)));
	} else {
		admin_refuse(r, "no verb '%.*s'", SPAN_FMT(verb));
	}
}

static void woken(void *arg)
{
	struct fixture *f = arg;
	loop_stop(f->loop);
}

static int setup(void **state)
{
	struct err e;
	struct fixture *f = NEW(struct fixture);
	snprintf(f->dir, sizeof(f->dir), "/tmp/sallyport-admin-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/x.sock", f->dir);
	assert_false(failed(loop_new(&f->loop, &e)));
	f->guard = loop_timer_start(f->loop, 20000, hung, f);
	f->wake = loop_wake_start(f->loop, woken, f);
	assert_false(failed(admin_server_start(f->loop, f->path, handle, f, &f->server, &e)));
	f->timeout_ms = 10000;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct err e;
	admin_server_stop(&f->server);
	if (f->held != NULL)
		admin_refuse(f->held, "nobody is left to hear it");
	loop_wake_cancel(&f->wake);
	loop_timer_cancel(&f->guard);
	loop_free(f->loop);
	assert_false(failed(file_remove_tree(f->dir, &e)));
	json_decref(f->question);
	json_decref(f->answer);
	free(f);
	return 0;
}

static void *ask_on_thread(void *arg)
{
	struct fixture *f = arg;
	f->result = admin_call(f->path, f->question, f->timeout_ms, &f->answer, &f->err);
	loop_wake(f->wake);
	return NULL;
}

static int dial(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, path, strnlen(path, sizeof(a.sun_path) - 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

// Sends the bytes, tells that no more come only after as many lines came back as were sent, or the end did.
static void *raw_on_thread(void *arg)
{
	struct fixture *f = arg;
	int fd = dial(f->path);
	struct err e;
	if (failed(fd_write_all(fd, f->raw, f->raw_len, &e)))
		snprintf(f->reply, sizeof(f->reply), "cut");
	size_t lines = 0, wanted = 0, used = 0;
	for (size_t i = 0; i < f->raw_len; i++)
		wanted += f->raw[i] == '\n';
	ssize_t n = 1;
	while ((lines < wanted || wanted == 0) && n > 0 && used < sizeof(f->reply) - 1) {
		n = read(fd, f->reply + used, 1);
		lines += n > 0 && f->reply[used] == '\n';
		used += n > 0;
	}
	fd_close(&fd);
	loop_wake(f->wake);
	return NULL;
}

static void run_thread(struct fixture *f, void *(*run)(void *arg))
{
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, run, f), 0);
	loop_run(f->loop);
	pthread_join(t, NULL);
}

static void ask(struct fixture *f, json_t *question)
{
	json_decref(f->question);
	json_decref(f->answer);
	f->answer = NULL;
	f->question = question;
	run_thread(f, ask_on_thread);
}

static void test_answers(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	ask(f, json_pack("{s:s, s:[i,i]}", "do", "echo", "what", 1, 2));
	assert_false(failed(f->result));
	assert_true(json_is_true(json_object_get(f->answer, "ok")));
	assert_int_equal(json_array_size(json_object_get(f->answer, "got")), 2);
	ask(f, json_pack("{s:s}", "do", "later"));
	assert_false(failed(f->result));
	assert_string_equal(json_string_value(json_object_get(f->answer, "late")), "yes");
	assert_string_equal(f->verbs, "echo|later|");
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	ask(f, json_pack("{s:s}", "do", "nothing"));
	assert_true(failed(f->result));
	assert_string_equal(f->err.msg, "no verb 'nothing'");
	ask(f, json_pack("{s:i}", "do", 5));
	assert_true(failed(f->result));
	ask(f, json_pack("{s:s}", "do", "huge"));
	assert_true(failed(f->result));
	assert_non_null(strstr(f->err.msg, "larger than 1 MiB"));
}

static void test_no_answer_in_time(void **state)
{
	struct fixture *f = *state;
	f->timeout_ms = 30;
	ask(f, json_pack("{s:s}", "do", "never"));
	assert_true(failed(f->result));
	assert_int_equal(f->err.kind, ERR_UNREACHABLE);
}

static void test_nobody_there(void **state)
{
	struct fixture *f = *state;
	admin_server_stop(&f->server);
	assert_int_equal(access(f->path, F_OK), -1);
	ask(f, json_pack("{s:s}", "do", "echo"));
	assert_true(failed(f->result));
	assert_int_equal(f->err.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(f->err.msg, "sallyport up"));
}

static void test_raw(void **state)
{
	struct fixture *f = *state;
	static const char lines[] =
	        "{\"do\":\"echo\",\"what\":1}\nnot json\n[]\n{}\n{\"do\":\"later\"}\n{\"do\":\"echo\",\"what\":2}\n";
	f->raw = lines;
	f->raw_len = sizeof(lines) - 1;
	run_thread(f, raw_on_thread);
	assert_non_null(strstr(f->reply, "{\"got\":1,\"ok\":true}\n{\"ok\":false,"));
	assert_non_null(strstr(f->reply, "{\"late\":\"yes\",\"ok\":true}\n{\"got\":2,\"ok\":true}\n"));
	assert_string_equal(f->verbs, "echo|later|echo|");
}

static void test_endless_line(void **state)
{
	struct fixture *f = *state;
	f->raw_len = (1 << 20) + 1;
	AUTO_FREE char *big = mem_alloc(f->raw_len);
	memset(big, 'x', f->raw_len);
	f->raw = big;
	run_thread(f, raw_on_thread);
	assert_non_null(strstr(f->reply, "larger than 1 MiB"));
}

static void test_conflict_and_stale(void **state)
{
	struct fixture *f = *state;
	struct admin_server *second;
	struct err e;
	assert_true(failed(admin_server_start(f->loop, f->path, handle, f, &second, &e)));
	assert_int_equal(e.kind, ERR_CONFLICT);
	// A socket that nobody listens on any more is what a killed process leaves.
	char stale[100];
	snprintf(stale, sizeof(stale), "%s/stale.sock", f->dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, stale, strlen(stale));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	fd_close(&fd);
	assert_false(failed(admin_server_start(f->loop, stale, handle, f, &second, &e)));
	admin_server_stop(&second);
	// But what is no socket is not ours to remove.
	assert_false(failed(file_create(stale, SPAN_LIT("x"), 0600, &e)));
	assert_true(failed(admin_server_start(f->loop, stale, handle, f, &second, &e)));
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(access(stale, F_OK), 0);
}

static void test_long_path(void **state)
{
	struct fixture *f = *state;
	struct err e;
	admin_server_stop(&f->server);
	char deep[256];
	snprintf(deep, sizeof(deep), "%s/%0120d", f->dir, 0);
	assert_false(failed(file_mkdirs(deep, 0700, &e)));
	snprintf(f->path, sizeof(f->path), "%s/x.sock", deep);
	assert_false(failed(admin_server_start(f->loop, f->path, handle, f, &f->server, &e)));
	ask(f, json_pack("{s:s, s:i}", "do", "echo", "what", 1));
	assert_false(failed(f->result));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_answers), T(test_refusals),     T(test_no_answer_in_time),  T(test_nobody_there),
	        T(test_raw),     T(test_endless_line), T(test_conflict_and_stale), T(test_long_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

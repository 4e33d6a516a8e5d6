// The client of the recorder's socket, against a recorder that the test plays: it answers, refuses, dies and talks nonsense.
#include "unit/unit.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/frame.h"
#include "base/file.h"
#include "base/mem.h"

enum manner { STORE, REFUSE, HANG_UP, NONSENSE, SILENT };

struct stage {
	struct loop *loop;
	char path[108];
	int listener, fd;
	struct loop_fd *accepting, *reading;
	enum manner manner;
	struct frame_reader reader;
	unsigned greeted, entries;
	struct audit_client *client;
	unsigned stored, refused;
	struct err last;
	bool stop_client; // by the next callback
};

static void hang_up(struct stage *s)
{
	loop_fd_cancel(&s->reading);
	fd_close(&s->fd);
}

static void answer(struct stage *s, enum frame_type type, enum err_kind kind, uint64_t id, const char *text)
{
	struct buf b;
	buf_init(&b, 4096);
	assert_true(frame_put_text(&b, type, kind, id, span_of(text)));
	assert_int_equal(write(s->fd, buf_span(&b).data, buf_len(&b)), (ssize_t)buf_len(&b));
	buf_fini(&b);
}

static struct result on_text(void *arg, const struct frame *f, struct span text, struct err *e)
{
	struct stage *s = arg;
	(void)text;
	(void)e;
	if (f->type == FRAME_HELLO) {
		s->greeted++;
		answer(s, FRAME_WELCOME, ERR_NONE, 0, "{}");
	}
	return OK;
}

static struct result on_end(void *arg, const struct frame *f, struct err *e)
{
	struct stage *s = arg;
	(void)e;
	if (f->type != FRAME_ENTRY)
		return OK;
	s->entries++;
	if (s->manner == STORE)
		answer(s, FRAME_STORED, ERR_NONE, f->id, "7");
	else if (s->manner == REFUSE)
		answer(s, FRAME_REFUSED, ERR_SYSTEM, f->id, "disk full");
	else if (s->manner == NONSENSE)
		answer(s, FRAME_STORED, ERR_NONE, f->id + 1000, "7");
	return s->manner == HANG_UP ? FAIL : OK;
}

static void readable(void *arg, uint32_t events)
{
	static const struct frame_events on = {on_text, NULL, on_end};
	struct stage *s = arg;
	char bytes[4096];
	size_t taken;
	ssize_t n = read(s->fd, bytes, sizeof(bytes));
	(void)events;
	if (n <= 0 || failed(frame_feed(&s->reader, span_from(bytes, (size_t)n), &on, s, NULL, &taken, NULL)))
		hang_up(s);
}

static void incoming(void *arg, uint32_t events)
{
	struct stage *s = arg;
	(void)events;
	hang_up(s);
	s->fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	frame_reader_fini(&s->reader);
	frame_reader_init(&s->reader);
	s->reading = loop_fd_start(s->loop, s->fd, EPOLLIN, readable, s);
}

static void listen_now(struct stage *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, s->path, strlen(s->path) + 1);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->listener, 8), 0);
	s->accepting = loop_fd_start(s->loop, s->listener, EPOLLIN, incoming, s);
}

static struct stage *stage_new(enum manner manner, bool listening)
{
	struct stage *s = NEW(struct stage);
	assert_false(failed(loop_new(&s->loop, NULL)));
	snprintf(s->path, sizeof(s->path), "/tmp/sp-audit-%d.sock", (int)getpid());
	unlink(s->path);
	s->fd = s->listener = -1;
	s->manner = manner;
	frame_reader_init(&s->reader);
	if (listening)
		listen_now(s);
	assert_false(failed(audit_client_start(s->loop, s->path, "test", &s->client, NULL)));
	return s;
}

static void stage_free(struct stage *s)
{
	audit_client_stop(&s->client);
	hang_up(s);
	loop_fd_cancel(&s->accepting);
	fd_close(&s->listener);
	frame_reader_fini(&s->reader);
	loop_free(s->loop);
	unlink(s->path);
	free(s);
}

static void until_ready(void *arg)
{
	struct stage *s = arg;
	if (audit_client_ready(s->client))
		loop_stop(s->loop);
	else
		loop_timer_start(s->loop, 1, until_ready, s);
}

static void wait_ready(struct stage *s)
{
	loop_timer_start(s->loop, 0, until_ready, s);
	loop_run(s->loop);
}

static void recorded(void *arg, const struct err *e)
{
	struct stage *s = arg;
	if (e == NULL) {
		s->stored++;
	} else {
		s->refused++;
		s->last = *e;
	}
	if (s->stop_client)
		audit_client_stop(&s->client);
	loop_stop(s->loop);
}

static struct audit_pending *record(struct stage *s, const char *uid)
{
	const struct audit_entry a = {
	        .uid = span_of(uid), .operation = SPAN_LIT("tool_call"), .arguments = SPAN_LIT("payload")};
	return audit_record(s->client, &a, recorded, s);
}

static void run_until(struct stage *s, const unsigned *counter, unsigned want)
{
	while (*counter < want)
		loop_run(s->loop);
}

static void test_stored(void **state)
{
	(void)state;
	struct stage *s = stage_new(STORE, true);
	wait_ready(s);
	for (int i = 0; i < 50; i++)
		record(s, "u");
	assert_int_equal(s->stored, 0); // never before the call has returned
	run_until(s, &s->stored, 50);
	assert_true(s->entries == 50 && s->greeted == 1 && s->refused == 0);
	stage_free(s);
}

static void test_refused(void **state)
{
	(void)state;
	struct stage *s = stage_new(REFUSE, true);
	wait_ready(s);
	record(s, "u");
	run_until(s, &s->refused, 1);
	assert_int_equal(s->last.kind, ERR_SYSTEM);
	assert_non_null(strstr(s->last.msg, "disk full"));
	stage_free(s);
}

static void test_nobody_there_fails_at_once_and_connects_later(void **state)
{
	(void)state;
	struct stage *s = stage_new(STORE, false);
	record(s, "u");
	assert_int_equal(s->refused, 0);
	run_until(s, &s->refused, 1);
	assert_int_equal(s->last.kind, ERR_UNREACHABLE);
	listen_now(s);
	wait_ready(s);
	record(s, "u");
	run_until(s, &s->stored, 1);
	stage_free(s);
}

static void test_what_is_in_flight_when_it_dies_fails(void **state)
{
	(void)state;
	struct stage *s = stage_new(HANG_UP, true);
	wait_ready(s);
	for (int i = 0; i < 3; i++)
		record(s, "u");
	run_until(s, &s->refused, 3);
	assert_int_equal(s->last.kind, ERR_UNREACHABLE);
	s->manner = STORE;
	wait_ready(s);
	record(s, "u");
	run_until(s, &s->stored, 1);
	assert_int_equal(s->greeted, 2);
	stage_free(s);
}

static void test_nonsense_is_a_lost_connection(void **state)
{
	(void)state;
	struct stage *s = stage_new(NONSENSE, true);
	wait_ready(s);
	record(s, "u");
	run_until(s, &s->refused, 1);
	assert_int_equal(s->stored, 0);
	stage_free(s);
}

static void test_bad_entries_never_leave(void **state)
{
	(void)state;
	struct stage *s = stage_new(STORE, true);
	wait_ready(s);
	record(s, "");
	run_until(s, &s->refused, 1);
	assert_int_equal(s->last.kind, ERR_INVALID);
	const struct audit_entry large = {
	        .uid = SPAN_LIT("u"), .operation = SPAN_LIT("o"), .result = span_from("", (size_t)FRAME_PAYLOAD_MAX + 1)};
	audit_record(s->client, &large, recorded, s);
	run_until(s, &s->refused, 2);
	assert_int_equal(s->last.kind, ERR_TOO_LARGE);
	assert_int_equal(s->entries, 0);
	stage_free(s);
}

static void fired(void *arg)
{
	loop_stop(((struct stage *)arg)->loop);
}

static void test_cancelled_ones_call_nobody(void **state)
{
	(void)state;
	struct stage *s = stage_new(STORE, true);
	struct audit_pending *early = record(s, "u"); // not connected yet: fails later
	audit_cancel(&early);
	assert_null(early);
	wait_ready(s);
	struct audit_pending *a = record(s, "a"), *b = record(s, "b");
	(void)b;
	audit_cancel(&a);
	run_until(s, &s->stored, 1);
	struct audit_pending *c = record(s, "c");
	audit_cancel(&c);
	loop_timer_start(s->loop, 20, fired, s);
	loop_run(s->loop);
	assert_true(s->stored == 1 && s->refused == 0);
	stage_free(s);
}

static void test_a_callback_may_stop_the_client(void **state)
{
	(void)state;
	struct stage *s = stage_new(STORE, true);
	wait_ready(s);
	for (int i = 0; i < 5; i++)
		record(s, "u");
	s->stop_client = true;
	run_until(s, &s->stored, 1);
	loop_timer_start(s->loop, 20, fired, s);
	loop_run(s->loop);
	assert_int_equal(s->stored, 1);
	assert_null(s->client);
	stage_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_stored),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_nobody_there_fails_at_once_and_connects_later),
	        cmocka_unit_test(test_what_is_in_flight_when_it_dies_fails),
	        cmocka_unit_test(test_nonsense_is_a_lost_connection),
	        cmocka_unit_test(test_bad_entries_never_leave),
	        cmocka_unit_test(test_cancelled_ones_call_nobody),
	        cmocka_unit_test(test_a_callback_may_stop_the_client),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

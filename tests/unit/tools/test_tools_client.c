// What comes out of a sandbox is a reply or an error, never half of one.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "tools/tools.h"
#include "tools/wire.h"
#include "unit/unit.h"

static int sealed(struct span content)
{
	int fd = -1;
	assert_false(failed(wire_bulk_make("t", content, &fd, NULL)));
	return fd;
}

static bool decodes(const char *header, int bulk, struct tools_reply *r)
{
	struct err e = {0};
	bool ok = !failed(tools_client_decode(span_of(header), bulk, r, &e));
	if (!ok)
		assert_true(e.msg[0] != '\0');
	return ok;
}

static void test_replies(void **state)
{
	struct tools_reply r;
	AUTO_FD int text = sealed(SPAN_LIT("hello\n"));

	(void)state;
	tools_reply_init(&r);
	assert_true(decodes("{\"do\":\"result\",\"id\":\"sevt_1\",\"is_error\":true}", text, &r));
	assert_int_equal(r.kind, TOOLS_RESULT);
	assert_true(r.is_error);
	assert_string_equal(r.id, "sevt_1");
	assert_string_equal(buf_str(&r.text), "hello\n");
	assert_true(decodes("{\"do\":\"unknown\",\"id\":\"a\"}", -1, &r));
	assert_int_equal(r.kind, TOOLS_UNKNOWN);
	assert_int_equal(buf_len(&r.text), 0);
	assert_true(decodes("{\"do\":\"refused\",\"id\":\"a\"}", text, &r));
	assert_int_equal(r.kind, TOOLS_REFUSED);
	tools_reply_fini(&r);
}

static void test_what_is_no_reply(void **state)
{
	static const char *const bad[] = {"",
	                                  "{}",
	                                  "[]",
	                                  "null",
	                                  "{\"do\":\"result\"}",
	                                  "{\"do\":\"result\",\"id\":\"a\"}",
	                                  "{\"do\":\"result\",\"id\":\"a\",\"is_error\":1}",
	                                  "{\"do\":\"result\",\"id\":\"\",\"is_error\":true}",
	                                  "{\"do\":\"result\",\"id\":\"a b\",\"is_error\":true}",
	                                  "{\"do\":\"result\",\"id\":\"a\",\"is_error\":true,\"x\":1}",
	                                  "{\"do\":\"result\",\"do\":\"result\",\"id\":\"a\",\"is_error\":true}",
	                                  "{\"do\":\"call\",\"id\":\"a\"}",
	                                  "{\"do\":\"unknown\",\"id\":\"a\"}",
	                                  "{\"do\":\"result\",\"id\":\"a\",\"is_error\":true} x"};
	struct tools_reply r;
	AUTO_FD int text = sealed(SPAN_LIT("x"));
	char longer[300], id[TOOLS_ID_MAX + 2] = "";

	(void)state;
	tools_reply_init(&r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(decodes(bad[i], text, &r));
	memset(id, 'a', TOOLS_ID_MAX + 1);
	snprintf(longer, sizeof(longer), "{\"do\":\"result\",\"is_error\":true,\"id\":\"%s\"}", id);
	assert_false(decodes(longer, text, &r));
	assert_false(decodes("{\"do\":\"result\",\"id\":\"a\",\"is_error\":true}", -1, &r));
	tools_reply_fini(&r);
}

static void test_hostile_bulk_data(void **state)
{
	static const char header[] = "{\"do\":\"result\",\"id\":\"a\",\"is_error\":false}";
	struct tools_reply r;
	AUTO_FD int unsealed = memfd_create("t", MFD_ALLOW_SEALING);
	AUTO_FD int partly = memfd_create("t", MFD_ALLOW_SEALING);
	AUTO_FD int huge = memfd_create("t", MFD_ALLOW_SEALING);
	AUTO_FD int zero = open("/dev/zero", O_RDONLY), empty = sealed((struct span){0}), latin = sealed(SPAN_LIT("\xE9"));
	AUTO_FD int nul = sealed(SPAN_LIT("a\0b"));

	(void)state;
	tools_reply_init(&r);
	assert_int_equal(write(unsealed, "x", 1), 1);
	assert_int_equal(write(partly, "x", 1), 1);
	assert_int_equal(fcntl(partly, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	assert_int_equal(ftruncate(huge, (off_t)1 << 40), 0);
	assert_false(failed(wire_bulk_seal(huge, NULL)));
	assert_false(decodes(header, unsealed, &r));
	assert_false(decodes(header, partly, &r));
	assert_false(decodes(header, huge, &r));
	assert_false(decodes(header, zero, &r));
	assert_false(decodes(header, empty, &r));
	assert_false(decodes(header, latin, &r));
	assert_true(decodes(header, nul, &r));
	assert_int_equal(buf_len(&r.text), 3);
	tools_reply_fini(&r);
}

static void test_a_request_arrives(void **state)
{
	int pair[2];
	char header[WIRE_HEADER_MAX];
	size_t len;
	enum wire_got got;
	bool sent;
	struct err e;
	AUTO_FD int bulk = -1;
	AUTO_BUF struct buf input;
	AUTO_JSON json_t *json = NULL;
	struct tools_request out = {.kind = TOOLS_CALL,
	                            .id = SPAN_LIT("sevt_1"),
	                            .name = SPAN_LIT("bash"),
	                            .timeout_ms = 5,
	                            .input = SPAN_LIT("{\"command\":\"x\"}")},
	                     in;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_false(failed(tools_client_send(pair[0], &out, &sent, &e)));
	assert_true(sent);
	assert_false(failed(wire_take(pair[1], header, &len, &bulk, &got, &e)));
	assert_int_equal(got, WIRE_MESSAGE);
	assert_false(failed(wire_request_decode(span_from(header, len), &in, &json, &e)));
	assert_true(span_is(in.id, "sevt_1") && span_is(in.name, "bash") && in.timeout_ms == 5);
	buf_init(&input, 100);
	assert_false(failed(wire_bulk_read(bulk, &input, &e)));
	assert_string_equal(buf_str(&input), "{\"command\":\"x\"}");

	struct tools_reply r;
	tools_reply_init(&r);
	assert_false(failed(tools_client_receive(pair[0], &r, &sent, &e)));
	assert_false(sent);
	close(pair[1]);
	assert_true(failed(tools_client_receive(pair[0], &r, &sent, &e)));
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_true(failed(tools_client_send(pair[0], &out, &sent, &e)));
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	close(pair[0]);
	tools_reply_fini(&r);
}

static void test_our_own_mistakes(void **state)
{
	struct err e;
	bool sent;
	struct tools_request r = {.kind = TOOLS_CALL, .id = SPAN_LIT("a"), .name = SPAN_LIT("bash"), .timeout_ms = 1};

	(void)state;
	r.id = SPAN_LIT("a\"b");
	assert_true(failed(tools_client_send(-1, &r, &sent, &e)));
	assert_int_equal(e.kind, ERR_INVALID);
	r.id = SPAN_LIT("a");
	r.name = SPAN_LIT("");
	assert_true(failed(tools_client_send(-1, &r, &sent, &e)));
	r.name = SPAN_LIT("bash");
	r.timeout_ms = 0;
	assert_true(failed(tools_client_send(-1, &r, &sent, &e)));
	r.timeout_ms = TOOLS_TIMEOUT_MAX_MS + 1;
	assert_true(failed(tools_client_send(-1, &r, &sent, &e)));
	r.timeout_ms = 1;
	r.input = span_from("", TOOLS_INPUT_MAX + 1);
	assert_true(failed(tools_client_send(-1, &r, &sent, &e)));
	assert_int_equal(e.kind, ERR_TOO_LARGE);
}

static void test_the_program_is_carried(void **state)
{
	AUTO_FD int fd = -1;
	char magic[4];
	int seals;

	(void)state;
	assert_false(failed(tools_program_fd(&fd, NULL)));
	assert_int_equal(pread(fd, magic, 4, 0), 4);
	assert_memory_equal(magic, "\177ELF", 4);
	seals = fcntl(fd, F_GET_SEALS);
	assert_int_equal(seals & (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
	                 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_replies),           cmocka_unit_test(test_what_is_no_reply),
	        cmocka_unit_test(test_hostile_bulk_data), cmocka_unit_test(test_a_request_arrives),
	        cmocka_unit_test(test_our_own_mistakes),  cmocka_unit_test(test_the_program_is_carried),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tools/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U // Linux 6.3; Debian 12's headers are older
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

// Keeps the first descriptor of the control data and closes any other; returns how many came.
static int take_descriptors(struct msghdr *m, int *bulk)
{
	int count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count++ == 0)
				*bulk = fd;
			else
				close(fd);
		}
	}
	return count;
}

struct result wire_take(int channel, char header[WIRE_HEADER_MAX], size_t *len, int *bulk, enum wire_got *got, struct err *e)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {header, WIRE_HEADER_MAX};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	*bulk = -1;
	*len = 0;
	*got = WIRE_NONE;
	ssize_t n;
	do
		n = recvmsg(channel, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return OK;
	if (n < 0 && errno != ECONNRESET)
		return err_sys(e, "receive on the tools' channel");
	if (n < 0 || (n == 0 && m.msg_controllen == 0)) {
		*got = WIRE_END;
		return OK;
	}
	int descriptors = take_descriptors(&m, bulk);
	if (descriptors > 1 || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		fd_close(bulk);
		return err_set(e, ERR_INVALID,
		               "a message on the tools' channel is longer than %d bytes or brings several descriptors",
		               WIRE_HEADER_MAX);
	}
	*len = (size_t)n;
	*got = WIRE_MESSAGE;
	return OK;
}

struct result wire_post(int channel, struct span header, int bulk, bool *sent, struct err *e)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(char *)header.data, header.len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	if (bulk >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &bulk, sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(channel, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	*sent = n >= 0;
	// ETOOMANYREFS and ENOBUFS pass when the other end has read some of what is under way.
	if (n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS || errno == ENOBUFS)
		return OK;
	if (errno == EPIPE || errno == ECONNRESET)
		return err_set(e, ERR_UNREACHABLE, "the tools' channel is closed");
	return err_sys(e, "send on the tools' channel");
}

struct result wire_bulk_new(const char *name, int *fd, struct err *e)
{
	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (*fd < 0 && errno == EINVAL) // before Linux 6.3
		*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return *fd < 0 ? err_sys(e, "memfd_create") : OK;
}

struct result wire_bulk_seal(int fd, struct err *e)
{
	return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? err_sys(e, "seal a memfd") : OK;
}

struct result wire_bulk_make(const char *name, struct span content, int *fd, struct err *e)
{
	AUTO_FD int made = -1;
	TRY(wire_bulk_new(name, &made, e));
	TRY(fd_write_all(made, content.data, content.len, e));
	TRY(wire_bulk_seal(made, e));
	*fd = STEAL_FD(made);
	return OK;
}

struct result wire_bulk_read(int fd, struct buf *out, struct err *e)
{
	buf_clear(out);
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS)
		return err_set(e, ERR_INVALID, "bulk data came in something other than a sealed memfd");
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat a memfd");
	if (st.st_size < 0 || (uint64_t)st.st_size > out->max)
		return err_set(e, ERR_INVALID, "bulk data of %lld bytes is over the limit of %zu", (long long)st.st_size,
		               out->max);
	size_t size = (size_t)st.st_size;
	char *to = buf_reserve(out, size);
	BUG_ON(to == NULL);
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(fd, to + done, size - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read a memfd");
		if (n == 0)
			return err_set(e, ERR_INVALID, "bulk data ends early");
		done += (size_t)n;
	}
	buf_commit(out, size);
	return OK;
}

bool wire_id_valid(struct span id)
{
	if (id.len == 0 || id.len > TOOLS_ID_MAX)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		char c = id.data[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
		          c == '.';
		if (!ok)
			return false;
	}
	return true;
}

static struct result check_name(struct span name, struct err *e)
{
	return wire_id_valid(name) && name.len <= 32
	               ? OK
	               : err_set(e, ERR_INVALID, "a tool's name must be 1 to 32 letters, digits, '_', '-' or '.'");
}

static const char *const request_words[] = {
        [TOOLS_CALL] = "call", [TOOLS_COLLECT] = "collect", [TOOLS_FORGET] = "forget", [TOOLS_CANCEL] = "cancel"};

struct result wire_request_encode(const struct tools_request *r, struct buf *out, struct err *e)
{
	if (!wire_id_valid(r->id))
		return err_set(e, ERR_INVALID, "a call's id must be 1 to %d letters, digits, '_', '-' or '.'", TOOLS_ID_MAX);
	if (r->kind != TOOLS_CALL) {
		BUG_ON(!buf_printf(out, "{\"do\":\"%s\",\"id\":\"%.*s\"}", request_words[r->kind], SPAN_FMT(r->id)));
		return OK;
	}
	TRY(check_name(r->name, e));
	if (r->timeout_ms == 0 || r->timeout_ms > TOOLS_TIMEOUT_MAX_MS)
		return err_set(e, ERR_INVALID, "a call's timeout must be 1 to %llu ms",
		               (unsigned long long)TOOLS_TIMEOUT_MAX_MS);
	if (r->input.len > TOOLS_INPUT_MAX)
		return err_set(e, ERR_TOO_LARGE, "a call's input of %zu bytes is over the limit of %zu", r->input.len,
		               TOOLS_INPUT_MAX);
	BUG_ON(!buf_printf(out, "{\"do\":\"call\",\"id\":\"%.*s\",\"name\":\"%.*s\",\"timeout_ms\":%llu}", SPAN_FMT(r->id),
	                   SPAN_FMT(r->name), (unsigned long long)r->timeout_ms));
	return OK;
}

static struct result request_kind(struct span word, enum tools_request_kind *kind, struct err *e)
{
	for (size_t i = 0; i < sizeof(request_words) / sizeof(request_words[0]); i++) {
		if (span_is(word, request_words[i])) {
			*kind = (enum tools_request_kind)i;
			return OK;
		}
	}
	return err_set(e, ERR_INVALID, "request: \"do\" is not a known word");
}

struct result wire_request_decode(struct span header, struct tools_request *r, struct json_t **json, struct err *e)
{
	*r = (struct tools_request){0};
	AUTO_JSON json_t *o = NULL;
	struct span word;
	TRY(json_parse_object(header, "request", &o, e));
	TRY(json_get_string(o, "request", "do", &word, e));
	TRY(request_kind(word, &r->kind, e));
	TRY(json_get_string(o, "request", "id", &r->id, e));
	if (!wire_id_valid(r->id))
		return err_set(e, ERR_INVALID, "request: \"id\" is not a call's id");
	size_t members = 2;
	if (r->kind == TOOLS_CALL) {
		int64_t ms;
		TRY(json_get_string(o, "request", "name", &r->name, e));
		TRY(check_name(r->name, e));
		TRY(json_get_int(o, "request", "timeout_ms", &ms, e));
		if (ms < 1 || (uint64_t)ms > TOOLS_TIMEOUT_MAX_MS)
			return err_set(e, ERR_INVALID, "request: \"timeout_ms\" is out of range");
		r->timeout_ms = (uint64_t)ms;
		members = 4;
	}
	if (json_object_size(o) != members)
		return err_set(e, ERR_INVALID, "request: it has members that no request has");
	*json = STEAL(o);
	return OK;
}

struct result wire_reply_encode(enum tools_reply_kind kind, const char *id, bool is_error, struct buf *out, struct err *e)
{
	if (!wire_id_valid(span_of(id)))
		return err_set(e, ERR_INVALID, "a reply's id must be a call's id");
	if (kind == TOOLS_RESULT)
		BUG_ON(!buf_printf(out, "{\"do\":\"result\",\"id\":\"%s\",\"is_error\":%s}", id, is_error ? "true" : "false"));
	else
		BUG_ON(!buf_printf(out, "{\"do\":\"%s\",\"id\":\"%s\"}", kind == TOOLS_UNKNOWN ? "unknown" : "refused", id));
	return OK;
}

#include "sandbox/idspace.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/span.h"
#include "sandbox/procfs.h"

// Ids that no distribution gives to anybody (systemd's table lists them as unused), for those who may map any.
#define UNUSED_BASE 0x70000000u
#define UNUSED_COUNT 0x0fffffffu
#define RANGE_MIN 64u // fewer are not worth it: two a sandbox

static bool has_cap(unsigned cap)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	return syscall(SYS_capget, &head, data) == 0 && (data[cap / 32].effective & (1u << cap % 32)) != 0;
}

// Whether `path` (/etc/subuid or /etc/subgid) gives us a range: NAME:BASE:COUNT, by name or by number.
static bool subid_range(const char *path, uint32_t *base, uint32_t *count)
{
	struct buf AUTO_BUF text;
	buf_init(&text, 1 << 20);
	if (failed(file_read(path, &text, NULL)))
		return false;
	char number[16];
	snprintf(number, sizeof(number), "%u", getuid());
	const struct passwd *me = getpwuid(getuid());
	struct span rest = buf_span(&text), line;
	while (rest.len > 0) {
		struct span name, from, how_many;
		uint64_t b, n;
		span_cut(rest, '\n', &line, &rest);
		if (!span_cut(line, ':', &name, &from) || !span_cut(from, ':', &from, &how_many))
			continue;
		if (!span_is(name, number) && (me == NULL || !span_is(name, me->pw_name)))
			continue;
		if (failed(span_to_u64(from, UINT32_MAX - 1, "base", &b, NULL)) ||
		    failed(span_to_u64(span_trim(how_many), UINT32_MAX - 1, "count", &n, NULL)) || n < RANGE_MIN)
			continue;
		*base = (uint32_t)b;
		*count = (uint32_t)n;
		return true;
	}
	return false;
}

// The extent of /proc/self/uid_map that holds `id`, as far as it goes from there. In a container not every id exists.
static uint32_t mapped_from(uint32_t id)
{
	char text[4096];
	struct span rest = {text, procfs_read("/proc/self/uid_map", text, sizeof(text))};
	uint64_t inside, outside, n;
	while (procfs_number(&rest, &inside) && procfs_number(&rest, &outside) && procfs_number(&rest, &n)) {
		if (id >= inside && id - inside < n)
			return (uint32_t)(n - (id - inside));
	}
	return 0;
}

static void range_by_capability(struct idspace *s)
{
	uint32_t gid_base, gid_count;
	if (subid_range("/etc/subuid", &s->base, &s->count) && subid_range("/etc/subgid", &gid_base, &gid_count) &&
	    gid_base == s->base) {
		s->count = s->count < gid_count ? s->count : gid_count;
		snprintf(s->source, sizeof(s->source), "/etc/subuid");
		return;
	}
	s->base = UNUSED_BASE;
	s->count = mapped_from(s->base) < UNUSED_COUNT ? mapped_from(s->base) : UNUSED_COUNT;
	if (s->count < RANGE_MIN) { // a container: the upper half of what a distribution's own users leave free
		s->base = 32768;
		s->count = mapped_from(s->base) < 28000 ? mapped_from(s->base) : 28000;
	}
	if (s->count < RANGE_MIN)
		s->count = 0;
	snprintf(s->source, sizeof(s->source), "%s", s->count == 0 ? "this user namespace has no ids to give" : "CAP_SETUID");
}

void idspace_find(struct idspace *out)
{
	uint32_t gid_base, gid_count;
	*out = (struct idspace){0};
	if (has_cap(CAP_SETUID) && has_cap(CAP_SETGID)) {
		range_by_capability(out);
	} else if (access("/usr/bin/newuidmap", X_OK) != 0 || access("/usr/bin/newgidmap", X_OK) != 0) {
		snprintf(out->source, sizeof(out->source),
		         "newuidmap and newgidmap are not installed (Debian: apt install uidmap)");
	} else if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
		snprintf(out->source, sizeof(out->source),
		         "no_new_privs is set, newuidmap can't work (systemd: NoNewPrivileges=no)");
	} else if (!subid_range("/etc/subuid", &out->base, &out->count) || !subid_range("/etc/subgid", &gid_base, &gid_count)) {
		out->count = 0;
		snprintf(out->source, sizeof(out->source),
		         "no range in /etc/subuid and /etc/subgid (usermod --add-subuids 100000-165535 --add-subgids "
		         "100000-165535 USER)");
	} else {
		out->count = out->count < gid_count ? out->count : gid_count;
		snprintf(out->source, sizeof(out->source), "/etc/subuid");
	}
}

static bool write_text(pid_t pid, const char *file, const char *text)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool run_mapper(const char *program, pid_t pid, uint32_t own, uint32_t base, uint32_t count)
{
	char text[4][16];
	snprintf(text[0], 16, "%d", pid);
	snprintf(text[1], 16, "%u", own);
	snprintf(text[2], 16, "%u", base);
	snprintf(text[3], 16, "%u", count);
	pid_t child = fork();
	if (child == 0) {
		execl(program, program, text[0], "0", text[1], "1", "1", text[2], text[3], (char *)NULL);
		_exit(127);
	}
	int status;
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

// In a process that stayed outside: writes the maps of `pid`. The exit status says how far it came.
static int maps_write(pid_t pid, const struct idspace *s, uid_t uid, gid_t gid)
{
	char text[96];
	uint32_t gid_base = s->base, gid_count;
	if (s->count == 0) {
		snprintf(text, sizeof(text), "0 %u 1\n", uid);
		if (!write_text(pid, "setgroups", "deny") || !write_text(pid, "uid_map", text))
			return 1;
		snprintf(text, sizeof(text), "0 %u 1\n", gid);
		return write_text(pid, "gid_map", text) ? 0 : 1;
	}
	if (has_cap(CAP_SETUID) && has_cap(CAP_SETGID)) {
		snprintf(text, sizeof(text), "0 %u 1\n1 %u %u\n", uid, s->base, s->count);
		if (!write_text(pid, "uid_map", text))
			return 2;
		snprintf(text, sizeof(text), "0 %u 1\n1 %u %u\n", gid, s->base, s->count);
		return write_text(pid, "gid_map", text) ? 0 : 2;
	}
	(void)subid_range("/etc/subgid", &gid_base, &gid_count);
	return run_mapper("/usr/bin/newuidmap", pid, uid, s->base, s->count) &&
	                       run_mapper("/usr/bin/newgidmap", pid, gid, gid_base, s->count)
	               ? 0
	               : 3;
}

static struct result drop_groups(const struct idspace *s, struct err *e)
{
	if (s->setgroups && setgroups(0, NULL) != 0)
		return err_sys(e, "drop supplementary groups");
	gid_t group;
	int n = getgroups(0, NULL);
	if (n == 0 || (n == 1 && getgroups(1, &group) == 1 && group == getegid()))
		return OK; // its own group is no more than it has anyway
	return err_set(
	        e, ERR_DENIED,
	        "this process has %d supplementary groups, which would reach into every sandbox, and without subordinate ids "
	        "(%s) they can't be dropped: start it with `setpriv --clear-groups`, or get a range",
	        n, s->source);
}

static struct result maps_failed(int status, const struct idspace *s, struct err *e)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		return err_set(e, ERR_DENIED, "newuidmap refused the range of /etc/subuid: check it with `newuidmap` by hand");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		return err_set(
		        e, ERR_DENIED,
		        "the kernel refused to map ids %u to %u: the capabilities SETUID, SETGID and SETFCAP are needed for it",
		        s->base, s->base + s->count - 1);
	return err_set(e, ERR_DENIED, "the kernel refused to map our own uid into a user namespace");
}

struct result idspace_enter(struct idspace *out, struct err *e)
{
	idspace_find(out);
	out->setgroups = out->count > 0;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (uid == 0 && out->count == 0)
		return err_set(
		        e, ERR_DENIED,
		        "started by root, and there are no other ids for the sandboxes to run under (%s): start it as an "
		        "ordinary user",
		        out->source);
	int go[2];
	if (pipe2(go, O_CLOEXEC) != 0)
		return err_sys(e, "pipe");
	pid_t self = getpid(), mapper = fork();
	if (mapper < 0)
		return err_sys(e, "fork");
	if (mapper == 0) {
		char byte;
		close(go[1]);
		_exit(read(go[0], &byte, 1) == 1 ? maps_write(self, out, uid, gid) : 9);
	}
	close(go[0]);
	int rc = unshare(CLONE_NEWUSER | CLONE_NEWNS), saved = errno, status = 0;
	(void)prctl(PR_SET_DUMPABLE, 1); // else the maps belong to root
	if (rc == 0)
		rc = write(go[1], "g", 1) == 1 ? 0 : -1;
	close(go[1]);
	while (waitpid(mapper, &status, 0) < 0 && errno == EINTR)
		;
	errno = saved;
	if (rc != 0)
		return err_sys(e,
		               "this kernel or container allows no user namespaces, without which there is no sandbox (see "
		               "`sallyport doctor`)");
	if (status != 0)
		return maps_failed(status, out, e);
	return drop_groups(out, e);
}

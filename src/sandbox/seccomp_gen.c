// Compiles the seccomp filters at build time: DIR/seccomp_tools.h for the programs in a sandbox, DIR/seccomp_roles.h for our
// own roles, each for x86-64 and aarch64. Compiling them at run time would cost each sandbox one to two milliseconds.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "seccomp_lists.h"

#define FAMILIES 64 // more than there are
#define LOW32 0xffffffffull
#define NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | 0x80)
#define REFUSED SCMP_ACT_ERRNO(EPERM)
#define MISSING SCMP_ACT_ERRNO(ENOSYS)

__attribute__((noreturn)) static void fail(const char *what, int err)
{
	fprintf(stderr, "seccomp_gen: %s: %s\n", what, strerror(err));
	exit(1);
}

static void check(int rc, const char *what)
{
	if (rc != 0)
		fail(what, -rc);
}

// A call that one of the architectures does not have is left out there.
static void rule(scmp_filter_ctx f, uint32_t action, const char *name, unsigned n, const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR) {
		fprintf(stderr, "seccomp_gen: %s: this libseccomp does not know it\n", name);
		exit(1);
	}
	int rc = seccomp_rule_add_array(f, action, nr, n, args);
	check(rc == -EDOM ? 0 : rc, name);
}

static void rules(scmp_filter_ctx f, uint32_t action, const char *const *names)
{
	for (; *names != NULL; names++)
		rule(f, action, *names, 0, NULL);
}

// Refuses a call when (argument & mask) == value.
static void rule_masked(scmp_filter_ctx f, uint32_t action, const char *name, unsigned arg, uint64_t mask, uint64_t value)
{
	struct scmp_arg_cmp cmp = SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, value);
	rule(f, action, name, 1, &cmp);
}

static scmp_filter_ctx filter_new(uint32_t dflt, uint32_t arch)
{
	scmp_filter_ctx f = seccomp_init(dflt);
	if (f == NULL)
		fail("seccomp_init", ENOMEM);
	if (arch != seccomp_arch_native()) {
		check(seccomp_arch_add(f, arch), "add architecture");
		check(seccomp_arch_remove(f, seccomp_arch_native()), "remove architecture");
	}
	check(seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "bad architecture");
	check(seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
	return f;
}

static void filter_print(FILE *out, scmp_filter_ctx f, const char *name)
{
	char path[] = "/tmp/seccomp_gen.XXXXXX";
	int fd = mkstemp(path);
	struct stat st;
	if (fd < 0 || unlink(path) != 0)
		check(-errno, "temporary file");
	check(seccomp_export_bpf(f, fd), "export");
	if (fstat(fd, &st) != 0 || lseek(fd, 0, SEEK_SET) != 0)
		check(-errno, "temporary file");
	size_t n = (size_t)st.st_size / sizeof(struct sock_filter);
	struct sock_filter *code = calloc(n, sizeof(*code));
	if (code == NULL || read(fd, code, n * sizeof(*code)) != (ssize_t)(n * sizeof(*code)))
		check(-EIO, "temporary file");
	fprintf(out, "static const struct sock_filter %s[] = {\n", name);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "\t{0x%04x, %u, %u, 0x%08x},\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
	fprintf(out, "};\n");
	free(code);
	close(fd);
	seccomp_release(f);
}

// Sockets: local ones, TCP and UDP over IP, and NETLINK_ROUTE, by which programs list the network interfaces: without
// capabilities it only tells, and in the sandbox's own network namespace there is nothing to tell but lo. The rest (AF_VSOCK
// reaches the hypervisor, AF_PACKET, AF_ALG, other netlink …) answers as if the kernel did not have it.
static void tools_sockets(scmp_filter_ctx f)
{
	static const int inet[] = {AF_INET, AF_INET6}, protocols[] = {0, 6, 17}, types[] = {SOCK_STREAM, SOCK_DGRAM};
	rule_masked(f, SCMP_ACT_ALLOW, "socket", 0, LOW32, AF_UNIX);
	rule_masked(f, SCMP_ACT_ALLOW, "socketpair", 0, LOW32, AF_UNIX);
	struct scmp_arg_cmp route[] = {SCMP_CMP(0, SCMP_CMP_MASKED_EQ, LOW32, AF_NETLINK),
	                               SCMP_CMP(2, SCMP_CMP_MASKED_EQ, LOW32, NETLINK_ROUTE)};
	rule(f, SCMP_ACT_ALLOW, "socket", 2, route);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned t = 0; t < 2; t++) {
			for (unsigned p = 0; p < 3; p++) {
				struct scmp_arg_cmp cmp[] = {
				        SCMP_CMP(0, SCMP_CMP_MASKED_EQ, LOW32, (uint64_t)inet[i]),
				        SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xf, (uint64_t)types[t]),
				        SCMP_CMP(2, SCMP_CMP_MASKED_EQ, LOW32, (uint64_t)protocols[p]),
				};
				rule(f, SCMP_ACT_ALLOW, "socket", 3, cmp);
			}
		}
	}
}

static scmp_filter_ctx tools_calls(uint32_t arch)
{
	scmp_filter_ctx f = filter_new(MISSING, arch);
	rules(f, SCMP_ACT_ALLOW, lists_tools_allowed);
	rules(f, REFUSED, lists_refused);
	rules(f, REFUSED, lists_tools_refused);
	tools_sockets(f);
	for (const int *option = lists_tools_prctl; *option != 0; option++)
		rule_masked(f, SCMP_ACT_ALLOW, "prctl", 0, LOW32, (uint64_t)*option);
	// Only one's own limits: init and the nursery are nobody else's business.
	rule_masked(f, SCMP_ACT_ALLOW, "prlimit64", 0, LOW32, 0);
	static const uint64_t personas[] = {0, 0xffffffff};
	for (unsigned i = 0; i < 2; i++)
		rule_masked(f, SCMP_ACT_ALLOW, "personality", 0, LOW32, personas[i]);
	return f;
}

// What is refused of the families that are allowed, with the errno of a kernel that lacks it or of a user who may not.
static void tools_socket_kinds(scmp_filter_ctx f)
{
	struct scmp_arg_cmp other[] = {SCMP_CMP(0, SCMP_CMP_MASKED_EQ, LOW32, AF_NETLINK),
	                               SCMP_CMP(2, SCMP_CMP_NE, NETLINK_ROUTE, 0)};
	rule(f, SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket", 2, other);
	static const int inet[] = {AF_INET, AF_INET6};
	for (unsigned i = 0; i < 2; i++) {
		struct scmp_arg_cmp raw[] = {SCMP_CMP(0, SCMP_CMP_MASKED_EQ, LOW32, (uint64_t)inet[i]),
		                             SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW)};
		rule(f, REFUSED, "socket", 2, raw);
	}
}

// What must not get through a call that is otherwise allowed. A filter of its own: libseccomp can't say "all but".
static scmp_filter_ctx tools_arguments(uint32_t arch)
{
	scmp_filter_ctx f = filter_new(SCMP_ACT_ALLOW, arch);
	for (const unsigned long *request = lists_tools_ioctl; *request != 0; request++)
		rule_masked(f, REFUSED, "ioctl", 1, LOW32, *request);
	for (uint64_t bit = 1; bit <= 0x80000000ull; bit <<= 1) {
		if ((NAMESPACES & bit) == 0)
			continue;
		if (bit != 0x80) // CLONE_NEWTIME; in clone these bits are the signal's
			rule_masked(f, REFUSED, "clone", 0, bit, bit);
		rule_masked(f, REFUSED, "unshare", 0, bit, bit);
	}
	// No setuid files: in a directory that is shared with the host they would be its owner's, there.
	static const struct {
		const char *name;
		unsigned mode;
	} modes[] = {{"chmod", 1}, {"fchmod", 1}, {"fchmodat", 2}, {"creat", 1}, {"mknod", 1}, {"mknodat", 2}};
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		rule_masked(f, REFUSED, modes[i].name, modes[i].mode, S_ISUID, S_ISUID);
	for (unsigned at = 0; at < 2; at++) {
		struct scmp_arg_cmp create[] = {SCMP_CMP(1 + at, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT),
		                                SCMP_CMP(2 + at, SCMP_CMP_MASKED_EQ, S_ISUID, S_ISUID)};
		rule(f, REFUSED, at ? "openat" : "open", 2, create);
	}
	static const char *const mknods[] = {"mknod", "mknodat"};
	for (unsigned i = 0; i < 2; i++) {
		rule_masked(f, REFUSED, mknods[i], 1 + i, S_IFMT, S_IFCHR);
		rule_masked(f, REFUSED, mknods[i], 1 + i, S_IFMT, S_IFBLK);
	}
	for (uint64_t family = 0; family < FAMILIES; family++) {
		if (family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
			rule_masked(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", 0, LOW32, family);
	}
	tools_socket_kinds(f);
	rule_masked(f, REFUSED, "seccomp", 1, 8, 8); // SECCOMP_FILTER_FLAG_NEW_LISTENER
	return f;
}

// A role after its start: everything but what a break-in would need next. `traced` is for builds with a leak checker, which
// stops the process from a child of its own.
static scmp_filter_ctx roles(uint32_t arch, bool network, bool children, bool traced)
{
	scmp_filter_ctx f = filter_new(SCMP_ACT_ALLOW, arch);
	for (const char *const *name = lists_refused; *name != NULL; name++) {
		if (!traced || strcmp(*name, "ptrace") != 0)
			rule(f, REFUSED, *name, 0, NULL);
	}
	rules(f, REFUSED, lists_roles_refused);
	rule(f, MISSING, "clone3", 0, NULL);
	for (uint64_t bit = 1; bit <= 0x80000000ull; bit <<= 1) {
		if ((NAMESPACES & bit) != 0 && bit != 0x80)
			rule_masked(f, REFUSED, "clone", 0, bit, bit);
	}
	if (!children) { // threads go on
		rule_masked(f, REFUSED, "clone", 0, CLONE_VM | CLONE_THREAD, 0);
		rule_masked(f, REFUSED, "clone", 0, CLONE_VM | CLONE_THREAD, CLONE_VM);
		rules(f, REFUSED, lists_roles_fork);
	}
	for (uint64_t family = 0; family < FAMILIES; family++) {
		if (family == AF_UNIX || (network && (family == AF_INET || family == AF_INET6 || family == AF_NETLINK)))
			continue;
		rule_masked(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", 0, LOW32, family);
	}
	return f;
}

static FILE *header_open(const char *dir, const char *name)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *out = fopen(path, "w");
	if (out == NULL)
		fail(path, errno);
	fprintf(out, "// Made by seccomp_gen.\n");
	return out;
}

int main(int argc, char **argv)
{
	static const struct {
		uint32_t arch;
		const char *macro;
	} arches[] = {{SCMP_ARCH_X86_64, "__x86_64__"}, {SCMP_ARCH_AARCH64, "__aarch64__"}};
	if (argc != 2)
		return 2;
	FILE *tools = header_open(argv[1], "seccomp_tools.h"), *own = header_open(argv[1], "seccomp_roles.h");
	for (unsigned i = 0; i < 2; i++) {
		fprintf(tools, "#if defined(%s)\n", arches[i].macro);
		filter_print(tools, tools_calls(arches[i].arch), "seccomp_tools_calls");
		filter_print(tools, tools_arguments(arches[i].arch), "seccomp_tools_arguments");
		fprintf(tools, "#endif\n");
		fprintf(own, "#if defined(%s)\n", arches[i].macro);
		fprintf(own, "#ifdef __SANITIZE_ADDRESS__\n");
		filter_print(own, roles(arches[i].arch, false, true, true), "seccomp_roles_local");
		filter_print(own, roles(arches[i].arch, true, true, true), "seccomp_roles_network");
		fprintf(own, "#else\n");
		filter_print(own, roles(arches[i].arch, false, false, false), "seccomp_roles_local");
		filter_print(own, roles(arches[i].arch, true, false, false), "seccomp_roles_network");
		fprintf(own, "#endif\n");
		fprintf(own, "#endif\n");
	}
	return fclose(tools) != 0 || fclose(own) != 0;
}

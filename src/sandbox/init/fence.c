// Giving up: limits, ids, capabilities, Landlock, seccomp; in the order in which each is still allowed.
#include <asm/fcntl.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>

#include "init.h"
#include "seccomp_tools.h"

#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif
#define RULE_PATH_BENEATH 1

// The kernel's layouts; the headers of Debian 12 know only ABI 2.
struct landlock_ruleset {
	uint64_t fs, net, scoped;
};

struct landlock_beneath {
	uint64_t access;
	int32_t parent_fd;
} __attribute__((packed));

struct cap_data {
	uint32_t effective, permitted, inheritable;
};

static long caps_set(uint64_t caps)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct cap_data data[2] = {{(uint32_t)caps, (uint32_t)caps, 0}, {(uint32_t)(caps >> 32), (uint32_t)(caps >> 32), 0}};
	return sys2(__NR_capset, &head, data);
}

#define LOCKED_BITS                                                                                      \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | \
	 SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

long fence_init_caps(void)
{
	long err = sys5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (err >= 0)
		err = sys2(__NR_prctl, PR_SET_SECUREBITS, LOCKED_BITS);
	if (err >= 0)
		err = caps_set(1ul << CAP_SETUID | 1ul << CAP_SETGID | 1ul << CAP_SETPCAP | 1ul << CAP_KILL);
	return err;
}

static long limits_set(const struct plan *p)
{
	for (uint32_t i = 0; i < p->n_limits; i++) {
		uint64_t both[2] = {plan_limits(p)[i].max, plan_limits(p)[i].max};
		long err = sys4(__NR_prlimit64, 0, plan_limits(p)[i].resource, both, 0);
		if (err < 0)
			return err;
	}
	return 0;
}

static long ids_set(const struct plan *p)
{
	uint32_t uid = p->tools_uid;
	long err = p->setgroups ? sys2(__NR_setgroups, 0, 0) : 0;
	if (err >= 0)
		err = sys3(__NR_setresgid, uid, uid, uid);
	if (err >= 0)
		err = sys3(__NR_setresuid, uid, uid, uid);
	if (err >= 0) // a change of ids may have set it again
		err = sys2(__NR_prctl, PR_SET_DUMPABLE, 0);
	return err;
}

static long caps_drop(const struct plan *p)
{
	for (uint32_t cap = 0; cap <= p->last_cap; cap++) {
		long err = sys2(__NR_prctl, PR_CAPBSET_DROP, cap);
		if (err < 0)
			return err;
	}
	return caps_set(0);
}

static long landlock_enter(const struct plan *p)
{
	if (p->landlock_abi == 0)
		return 0;
	struct landlock_ruleset set = {p->landlock_handled, 0, p->landlock_scoped};
	size_t size = p->landlock_abi >= 6 ? 24 : p->landlock_abi >= 4 ? 16 : 8;
	long rules = sys3(__NR_landlock_create_ruleset, &set, size, 0);
	if (rules < 0)
		return rules;
	for (uint32_t i = 0; i < p->n_rules; i++) {
		const struct plan_rule *r = &plan_rules(p)[i];
		long fd = sys4(__NR_openat, AT_FDCWD, plan_string(p, r->path), O_PATH | O_CLOEXEC, 0);
		if (fd < 0)
			return fd;
		struct landlock_beneath beneath = {r->access, (int32_t)fd};
		long err = sys4(__NR_landlock_add_rule, rules, RULE_PATH_BENEATH, &beneath, 0);
		sys1(__NR_close, fd);
		if (err < 0)
			return err;
	}
	long err = sys2(__NR_landlock_restrict_self, rules, 0);
	sys1(__NR_close, rules);
	return err;
}

// Two filters: which calls there are, and which arguments are refused whatever the first one says.
static long seccomp_enter(void)
{
	struct sock_fprog calls = {sizeof(seccomp_tools_calls) / sizeof(seccomp_tools_calls[0]),
	                           (struct sock_filter *)seccomp_tools_calls};
	struct sock_fprog arguments = {sizeof(seccomp_tools_arguments) / sizeof(seccomp_tools_arguments[0]),
	                               (struct sock_filter *)seccomp_tools_arguments};
	long err = sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &calls);
	if (err >= 0) // the later one's errno is what a program sees where both refuse
		err = sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &arguments);
	return err;
}

long fence_enter(const struct plan *p, uint32_t *stage)
{
	static long (*const steps[])(const struct plan *) = {limits_set, ids_set, caps_drop, landlock_enter};
	for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		*stage = STAGE_LIMITS + i;
		long err = steps[i](p);
		if (err < 0)
			return err;
	}
	*stage = STAGE_SECCOMP;
	return seccomp_enter();
}

#include "sandbox/plan.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/etc.h"
#include "sandbox/init/abi.h"

#define ITEMS_MAX 160

struct draft {
	struct plan_step steps[ITEMS_MAX];
	struct plan_rule rules[ITEMS_MAX];
	struct plan_limit limits[16];
	unsigned n_steps, n_rules, n_limits;
	struct buf strings;
	bool full;
};

static uint16_t text(struct draft *d, const char *s)
{
	if (s == NULL)
		return 0;
	size_t at = buf_len(&d->strings);
	if (at > 0xf000 || !buf_add(&d->strings, span_from(s, strlen(s) + 1)))
		d->full = true;
	return (uint16_t)at;
}

static struct plan_step *step(struct draft *d, enum plan_op op, const char *a, const char *b)
{
	d->full |= d->n_steps == ITEMS_MAX;
	struct plan_step *s = &d->steps[d->n_steps < ITEMS_MAX ? d->n_steps++ : 0];
	*s = (struct plan_step){.op = (uint16_t)op, .a = text(d, a), .b = text(d, b)};
	return s;
}

static void mkdir_step(struct draft *d, const char *path, uint32_t mode, uint64_t flags)
{
	struct plan_step *s = step(d, PLAN_MKDIR, path, NULL);
	s->n = mode;
	s->flags = flags;
}

static void mount_step(struct draft *d, const char *source, const char *path, const char *type, uint64_t flags,
                       const char *data)
{
	struct plan_step *s = step(d, PLAN_MOUNT, source, path);
	s->c = text(d, type);
	s->d = text(d, data);
	s->flags = flags;
}

static void move_step(struct draft *d, uint32_t fd, const char *path)
{
	step(d, PLAN_MOVE, NULL, path)->n = fd;
}

static void rule(struct draft *d, const char *path, uint64_t access)
{
	d->full |= d->n_rules == ITEMS_MAX;
	struct plan_rule *r = &d->rules[d->n_rules < ITEMS_MAX ? d->n_rules++ : 0];
	*r = (struct plan_rule){.path = text(d, path), .access = access};
}

static void limit(struct draft *d, uint32_t resource, uint64_t max)
{
	BUG_ON(d->n_limits == ARRAY_LEN(d->limits));
	d->limits[d->n_limits++] = (struct plan_limit){resource, 0, max};
}

// The root's own entries, bound or linked as they are on the stage.
static void entries(struct draft *d, const struct plan_opts *o)
{
	const struct stage *s = o->stage;
	for (unsigned i = 0; i < s->n_entries; i++) {
		const struct stage_entry *entry = &s->entries[i];
		char from[160], to[160], inside[80];
		snprintf(from, sizeof(from), "%s/%s", s->from, entry->name);
		snprintf(to, sizeof(to), "/new/%s", entry->name);
		snprintf(inside, sizeof(inside), "/%s", entry->name);
		if (entry->link[0] != '\0') {
			step(d, PLAN_SYMLINK, entry->link, to);
			continue;
		}
		if (entry->file)
			step(d, PLAN_CREATE, to, NULL)->n = 0644;
		else
			mkdir_step(d, to, 0755, 0);
		mount_step(d, from, to, NULL, MS_BIND | MS_REC, NULL);
		uint64_t access = entry->program ? o->landlock->programs : o->landlock->read;
		rule(d, inside, entry->file ? access & ~o->landlock->list : access);
	}
}

// The places a program may write to: all on one file system in memory, whose size bounds them together.
static void writable(struct draft *d, const struct plan_opts *o)
{
	static const struct {
		const char *path;
		uint32_t mode;
	} dirs[] = {{"tmp", 01777}, {"run", 0755}, {"home/" ETC_USER, 0755}, {"run/shm", 01777}};
	mkdir_step(d, "/new/home", 0755, 0);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		char path[64];
		snprintf(path, sizeof(path), "/new/%s", dirs[i].path);
		mkdir_step(d, path, dirs[i].mode, PLAN_TOOLS);
		if (strcmp(dirs[i].path, "run/shm") != 0)
			rule(d, path + strlen("/new"), o->landlock->write);
	}
	if (o->stage->directory) {
		char var_tmp[] = "/root/var/tmp";
		if (access(var_tmp, F_OK) == 0)
			mount_step(d, "/new/tmp", "/new/var/tmp", NULL, MS_BIND, NULL);
	} else {
		mkdir_step(d, "/new/var", 0755, 0);
		mkdir_step(d, "/new/var/tmp", 01777, PLAN_TOOLS);
		rule(d, "/var/tmp", o->landlock->write);
		step(d, PLAN_SYMLINK, "/run", "/new/var/run");
		mkdir_step(d, "/new/root", 0700, 0);
	}
	mkdir_step(d, "/new/workspace", 0755, 0);
	move_step(d, INIT_FD_WORKSPACE, "/new/workspace");
	rule(d, "/workspace", o->landlock->write);
}

static void devices(struct draft *d, const struct plan_opts *o)
{
	mkdir_step(d, "/new/dev", 0755, 0);
	mount_step(d, "/dev", "/new/dev", NULL, MS_BIND | MS_REC, NULL);
	move_step(d, INIT_FD_PTS, "/new/dev/pts");
	mount_step(d, "/new/run/shm", "/new/dev/shm", NULL, MS_BIND, NULL);
	rule(d, "/dev", o->landlock->device);
	rule(d, "/dev/shm", o->landlock->write);
}

// What the kernel says in /proc about the machine and its other users. Most of it only root can read; that is the first
// fence, this the second.
static const char *const masked[] = {"acpi",          "asound",        "bus",         "cmdline",     "driver",    "fs",
                                     "interrupts",    "irq",           "kallsyms",    "kcore",       "key-users", "keys",
                                     "kmsg",          "latency_stats", "modules",     "sched_debug", "scsi",      "slabinfo",
                                     "sysrq-trigger", "timer_list",    "timer_stats", "vmallocinfo"};

static void sysctl(struct draft *d, const char *name, unsigned value)
{
	char path[96], number[16];
	snprintf(path, sizeof(path), "/new/proc/sys/user/%s", name);
	snprintf(number, sizeof(number), "%u", value);
	if (access(path + strlen("/new"), F_OK) == 0)
		step(d, PLAN_WRITE, path, number);
}

static void procfs(struct draft *d, const struct plan_opts *o)
{
	const uint64_t flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	mkdir_step(d, "/new/proc", 0755, 0);
	mount_step(d, "proc", "/new/proc", "proc", flags, NULL);
	sysctl(d, "max_user_namespaces", 0); // without which there is no other: they take a capability
	sysctl(d, "max_inotify_instances", 128);
	sysctl(d, "max_inotify_watches", 16384);
	sysctl(d, "max_fanotify_groups", 0);
	sysctl(d, "max_fanotify_marks", 0);
	for (size_t i = 0; i < ARRAY_LEN(masked); i++) {
		char path[64];
		snprintf(path, sizeof(path), "/new/proc/%s", masked[i]);
		const char *host = path + strlen("/new");
		if (access(host, F_OK) != 0)
			continue;
		char slash[80];
		snprintf(slash, sizeof(slash), "%s/.", host);
		// A directory is covered by an empty one that nobody can change, a file by the null device.
		mount_step(d, access(slash, F_OK) == 0 ? "/dev/pts" : "/dev/null", path, NULL, MS_BIND, NULL);
	}
	step(d, PLAN_READONLY, "/new/proc", NULL)->flags = flags;
	rule(d, "/proc", o->landlock->read);
}

static void limits(struct draft *d, const struct config_limits *l)
{
	limit(d, RLIMIT_CORE, 0);
	limit(d, RLIMIT_NICE, 0);
	limit(d, RLIMIT_RTPRIO, 0);
	limit(d, RLIMIT_MEMLOCK, 64 << 10);
	limit(d, RLIMIT_MSGQUEUE, 819200);
	limit(d, RLIMIT_SIGPENDING, 1024);
	limit(d, RLIMIT_NPROC, l->processes > 0 ? l->processes : 256);
	limit(d, RLIMIT_NOFILE, l->files > 0 ? l->files : 1024);
	if (l->disk_bytes > 0)
		limit(d, RLIMIT_FSIZE, l->disk_bytes);
}

static struct result assemble(const struct plan_opts *o, const struct draft *d, struct buf *out, struct err *e)
{
	struct plan head = {
	        .magic = PLAN_MAGIC,
	        .init_uid = o->ranged ? 0 : PLAN_TOOLS_ID,
	        .tools_uid = PLAN_TOOLS_ID,
	        .setgroups = o->setgroups,
	        .landlock_abi = o->landlock->files || o->landlock->scoped != 0 ? (uint32_t)o->landlock->abi : 0,
	        .landlock_handled = o->landlock->handled,
	        .landlock_scoped = o->landlock->scoped,
	        .last_cap = kernel_last_cap(),
	        .n_steps = (uint16_t)d->n_steps,
	        .n_rules = (uint16_t)d->n_rules,
	        .n_limits = (uint16_t)d->n_limits,
	};
	size_t size = sizeof(head) + d->n_steps * sizeof(d->steps[0]) + d->n_rules * sizeof(d->rules[0]) +
	              d->n_limits * sizeof(d->limits[0]) + buf_len(&d->strings);
	head.size = (uint32_t)size;
	if (d->full || size > PLAN_MAX || !buf_add(out, span_from((const char *)&head, sizeof(head))) ||
	    !buf_add(out, span_from((const char *)d->steps, d->n_steps * sizeof(d->steps[0]))) ||
	    !buf_add(out, span_from((const char *)d->rules, d->n_rules * sizeof(d->rules[0]))) ||
	    !buf_add(out, span_from((const char *)d->limits, d->n_limits * sizeof(d->limits[0]))) ||
	    !buf_add(out, buf_span(&d->strings)))
		return err_set(e, ERR_TOO_LARGE, "the plan of a sandbox is over %d bytes: the root has too many entries",
		               PLAN_MAX);
	return OK;
}

struct result plan_make(const struct plan_opts *o, struct buf *out, struct err *e)
{
	struct draft *d = NEW(struct draft);
	char data[96];
	buf_init(&d->strings, PLAN_MAX);
	BUG_ON(!buf_add(&d->strings, span_from("", 1)));
	snprintf(data, sizeof(data), "mode=755,size=%llu,nr_inodes=65536", (unsigned long long)o->memory);
	mount_step(d, "tmpfs", "/new", "tmpfs", MS_NOSUID | MS_NODEV, data);
	entries(d, o);
	writable(d, o);
	devices(d, o);
	procfs(d, o);
	step(d, PLAN_HOSTNAME, "sandbox", NULL);
	step(d, PLAN_LOOPBACK, NULL, NULL);
	step(d, PLAN_PIVOT, "/new", NULL);
	rule(d, "/", o->landlock->list);
	limits(d, &o->limits);
	if (!o->landlock->files)
		d->n_rules = 0;
	struct result r = assemble(o, d, out, e);
	buf_fini(&d->strings);
	free(d);
	return r;
}

void plan_describe(struct span plan, uint32_t where, char *out, size_t cap)
{
	static const char *const stages[] = {"read the plan",     "start the nursery", "set limits",   "change ids",
	                                     "drop capabilities", "enter Landlock",    "enter seccomp"};
	static const char *const ops[] = {"create directory", "link",           "write",         "create",   "mount",
	                                  "move a mount",     "make read-only", "pivot to root", "hostname", "set lo up"};
	const struct plan *p = (const struct plan *)(const void *)plan.data;
	if (where >= STAGE_PLAN) {
		snprintf(out, cap, "%s", where - STAGE_PLAN < ARRAY_LEN(stages) ? stages[where - STAGE_PLAN] : "?");
	} else if (where < p->n_steps) {
		const struct plan_step *s = (const struct plan_step *)(p + 1) + where;
		const char *strings = plan.data + sizeof(*p) + p->n_steps * sizeof(*s) + p->n_rules * sizeof(struct plan_rule) +
		                      p->n_limits * sizeof(struct plan_limit);
		snprintf(out, cap, "%s %s", s->op < ARRAY_LEN(ops) ? ops[s->op] : "?", strings + (s->b != 0 ? s->b : s->a));
	} else {
		snprintf(out, cap, "?");
	}
}

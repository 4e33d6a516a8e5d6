#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define GROUP_PREFIX "sallyport-" // and the spawner's pid, and a number

static const char *const kinds[CGROUP_KINDS] = {"memory", "pids", "cpu"};

void cgroup_name(char *out, size_t cap)
{
	static unsigned n;
	snprintf(out, cap, GROUP_PREFIX "%d-%u", getpid(), n++);
}

static bool write_at(int dir, const char *group, const char *file, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s%s%s", group, group[0] == '\0' ? "" : "/", file);
	AUTO_FD int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

// Our own group in the hierarchy of `controller` ("" for version 2), below `mount`. -1 when there is none.
static int own_group(const char *controller, const char *mount)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[4200], path[4400];
	int fd = -1;
	while (f != NULL && fd < 0 && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		char *names = strchr(line, ':'), *group = names == NULL ? NULL : strchr(names + 1, ':');
		if (group == NULL)
			continue;
		*group++ = '\0';
		names++;
		bool match = controller[0] == '\0' && names[0] == '\0';
		for (char *save, *name = strtok_r(names, ",", &save); name != NULL && !match; name = strtok_r(NULL, ",", &save))
			match = controller[0] != '\0' && strcmp(name, controller) == 0;
		if (!match)
			continue;
		snprintf(path, sizeof(path), "%s%s", mount, group);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (f != NULL)
		fclose(f);
	return fd;
}

// Version 2 lets a group have processes or controlled children, not both: this process and the one that started it move into a
// group of their own, or back.
static bool step_aside(int dir, bool away)
{
	char parent[16];
	snprintf(parent, sizeof(parent), "%d", getppid());
	if (away && mkdirat(dir, "sallyport", 0755) != 0 && errno != EEXIST)
		return false;
	const char *group = away ? "sallyport" : "";
	bool moved = write_at(dir, group, "cgroup.procs", parent) && write_at(dir, group, "cgroup.procs", "0");
	if (away && !moved)
		return step_aside(dir, false);
	if (!away)
		(void)unlinkat(dir, "sallyport", AT_REMOVEDIR);
	return away;
}

static bool find_v2(struct cgroup *c)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	for (size_t i = 0; i < 2; i++) {
		AUTO_FD int dir = own_group("", mounts[i]);
		if (dir < 0 || faccessat(dir, "cgroup.controllers", F_OK, 0) != 0)
			continue;
		char text[512] = " ";
		AUTO_FD int list = openat(dir, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
		ssize_t n = list < 0 ? -1 : read(list, text + 1, sizeof(text) - 3);
		if (n <= 0)
			continue;
		text[n] = ' '; // instead of the newline
		text[n + 1] = '\0';
		bool any = false, has[CGROUP_KINDS];
		for (int k = 0; k < CGROUP_KINDS; k++) {
			char word[16];
			snprintf(word, sizeof(word), " %s ", kinds[k]);
			has[k] = strstr(text, word) != NULL;
			any |= has[k];
		}
		if (!any || !step_aside(dir, true))
			continue;
		for (int k = 0; k < CGROUP_KINDS; k++) {
			char word[16];
			snprintf(word, sizeof(word), "+%s", kinds[k]);
			if (has[k] && write_at(dir, "", "cgroup.subtree_control", word)) {
				c->dirs[k] = fcntl(dir, F_DUPFD_CLOEXEC, 0);
				c->version = 2;
			}
		}
		if (c->version == 2)
			return true;
		(void)step_aside(dir, false); // others live in it: it was not delegated to us
	}
	return false;
}

static void find_v1(struct cgroup *c)
{
	for (int k = 0; k < CGROUP_KINDS; k++) {
		char mount[64];
		snprintf(mount, sizeof(mount), "/sys/fs/cgroup/%s", kinds[k]);
		c->dirs[k] = own_group(kinds[k], mount);
		char probe[48];
		cgroup_name(probe, sizeof(probe));
		if (c->dirs[k] >= 0 &&
		    (mkdirat(c->dirs[k], probe, 0755) != 0 || unlinkat(c->dirs[k], probe, AT_REMOVEDIR) != 0))
			fd_close(&c->dirs[k]);
		if (c->dirs[k] >= 0)
			c->version = 1;
	}
}

// Also of one that nobody has collected yet.
static bool has_ended(pid_t pid)
{
	int fd = pidfd_open(pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	bool ended = fd < 0 ? errno == ESRCH : poll(&p, 1, 0) == 1;
	fd_close(&fd);
	return ended;
}

// The spawner of a group that is called so; 0: not one of ours.
static pid_t spawner_of(const char *name)
{
	char *end;
	if (strncmp(name, GROUP_PREFIX, strlen(GROUP_PREFIX)) != 0)
		return 0;
	long pid = strtol(name + strlen(GROUP_PREFIX), &end, 10);
	return *end == '-' && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

// A spawner that was killed could not remove its groups. One with processes in it can't be removed by anybody.
static void sweep(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;
	while (d != NULL && (ent = readdir(d)) != NULL) {
		pid_t spawner = spawner_of(ent->d_name);
		if (spawner > 0 && has_ended(spawner))
			(void)unlinkat(dir, ent->d_name, AT_REMOVEDIR);
	}
	if (d != NULL)
		closedir(d);
}

void cgroup_find(const struct config_limits *limits, struct cgroup *out)
{
	*out = (struct cgroup){.dirs = {-1, -1, -1}, .limits = *limits};
	if (!find_v2(out))
		find_v1(out);
	for (int k = 0; k < CGROUP_KINDS; k++) {
		if (out->dirs[k] >= 0)
			sweep(out->dirs[k]);
	}
}

static bool set_limit(const struct cgroup *c, int kind, const char *name)
{
	const struct config_limits *l = &c->limits;
	char text[64];
	bool v2 = c->version == 2;
	switch (kind) {
	case 0:
		if (l->memory_bytes == 0)
			return true;
		snprintf(text, sizeof(text), "%llu", (unsigned long long)l->memory_bytes);
		if (v2) // without swap: the limit is meant as one; where there is no such file there is no swap to limit
			(void)write_at(c->dirs[kind], name, "memory.swap.max", "0");
		return write_at(c->dirs[kind], name, v2 ? "memory.max" : "memory.limit_in_bytes", text);
	case 1:
		snprintf(text, sizeof(text), "%u", (l->processes > 0 ? l->processes : 256) + 2);
		return write_at(c->dirs[kind], name, "pids.max", text);
	default:
		if (l->cpus_milli == 0)
			return true;
		snprintf(text, sizeof(text), v2 ? "%u 100000" : "%u", l->cpus_milli * 100);
		return write_at(c->dirs[kind], name, v2 ? "cpu.max" : "cpu.cfs_quota_us", text);
	}
}

struct result cgroup_enter(const struct cgroup *c, const char *name, pid_t pid, struct err *e)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", pid);
	for (int k = 0; k < CGROUP_KINDS; k++) {
		if (c->dirs[k] < 0)
			continue;
		if (mkdirat(c->dirs[k], name, 0755) != 0 && errno != EEXIST)
			return err_sys(e, "cgroup %s for %s", name, kinds[k]);
		if (!set_limit(c, k, name))
			return err_sys(e, "the %s limit of cgroup %s", kinds[k], name);
		if (!write_at(c->dirs[k], name, "cgroup.procs", text))
			return err_sys(e, "put process %d into cgroup %s (%s)", pid, name, kinds[k]);
	}
	return OK;
}

void cgroup_remove(const struct cgroup *c, const char *name)
{
	for (int k = 0; k < CGROUP_KINDS; k++) {
		if (c->dirs[k] >= 0)
			(void)unlinkat(c->dirs[k], name, AT_REMOVEDIR);
	}
}

bool cgroup_has(const struct cgroup *c, const char *controller)
{
	for (int k = 0; k < CGROUP_KINDS; k++) {
		if (strcmp(kinds[k], controller) == 0)
			return c->dirs[k] >= 0;
	}
	return false;
}

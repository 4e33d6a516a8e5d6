#include "sandbox/report.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"

static void lack(json_t *lacks, const char *what, const char *costs)
{
	json_array_append_new(lacks, json_pack("{s:s,s:s}", "what", what, "costs", costs));
}

static void landlock_lacks(json_t *lacks, const struct kernel_landlock *l)
{
	char what[64];
	if (l->abi >= 6)
		return;
	snprintf(what, sizeof(what), l->abi == 0 ? "no Landlock" : "Landlock ABI %d of 6", l->abi);
	lack(lacks, what,
	     !l->files    ? "file access is fenced by the mount namespace and file permissions alone"
	     : l->abi < 3 ? "the second fence around files does not cover truncation and device ioctls"
	     : l->abi < 5 ? "the second fence around files does not cover device ioctls"
	                  : "signals and abstract sockets are fenced by their namespaces alone");
}

static void cgroup_lacks(json_t *lacks, const struct boxes *b)
{
	if (!cgroup_has(&b->cgroup, "memory"))
		lack(lacks, "no memory cgroup",
		     "a sandbox can use up the machine's memory (give the worker a delegated cgroup: systemd Delegate=yes)");
	if (!cgroup_has(&b->cgroup, "cpu"))
		lack(lacks, "no cpu cgroup", "a sandbox can use every processor");
}

char *report_make(const struct boxes *b, const struct kernel_landlock *landlock)
{
	AUTO_JSON json_t *layers = json_pack("[s,s,s,s,s]", "namespaces", "capabilities", "no_new_privs", "seccomp", "rlimits");
	AUTO_JSON json_t *lacks = json_array();
	char text[64];
	if (b->ids.count > 0)
		json_array_append_new(layers, json_string("uids"));
	else
		lack(lacks, b->ids.source,
		     "all sandboxes share one kernel uid: one can starve its neighbours and the worker of inotify watches, "
		     "signals and "
		     "processes");
	if (landlock->files)
		json_array_append_new(layers, json_string("landlock"));
	landlock_lacks(lacks, landlock);
	if (b->cgroup.version > 0)
		json_array_append_new(layers, json_string("cgroup"));
	cgroup_lacks(lacks, b);
	if (!b->stage.overlay)
		lack(lacks, "/usr is not read through an overlay (there is none, or something is mounted below /usr)",
		     "a program in a sandbox can connect to a service that has its socket in /usr");
	if (!b->memfd)
		lack(lacks, "memfds can't be executed (vm.memfd_noexec is 2)",
		     "`sandbox run` works, the tools of a session do not (sysctl vm.memfd_noexec=1)");
	snprintf(text, sizeof(text), "%u-%u", b->ids.base, b->ids.base + b->ids.count - 1);
	AUTO_JSON json_t *ids = b->ids.count > 0 ? json_pack("{s:s,s:s,s:i}", "range", text, "source", b->ids.source,
	                                                     "sandboxes", (int)(b->ids.count / 2))
	                                         : json_pack("{s:n,s:s}", "range", "source", b->ids.source);
	AUTO_JSON json_t *cgroup =
	        json_pack("{s:i,s:b,s:b,s:b}", "version", b->cgroup.version, "memory", cgroup_has(&b->cgroup, "memory"), "pids",
	                  cgroup_has(&b->cgroup, "pids"), "cpu", cgroup_has(&b->cgroup, "cpu"));
	AUTO_JSON json_t *all =
	        json_pack("{s:O,s:O,s:O,s:i,s:O,s:s,s:s}", "layers", layers, "lacks", lacks, "ids", ids, "landlock",
	                  landlock->abi, "cgroup", cgroup, "root", b->stage.directory ? "directory" : "host-usr", "init",
	                  b->memfd ? "sealed memfd" : "file");
	return json_text(all, NULL);
}

// sallyport doctor: what this machine gives, what is missing, what that costs, and a sandbox that is really tried.
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "provider/selftest.h"
#include "sandbox/host.h"
#include "sandbox/kernel.h"

#define FOUND_SOMETHING 5

static const char *const states[] = {"held", "moot", "open"};

static void lack(json_t *lacks, const char *what, const char *costs)
{
	json_array_append_new(lacks, json_pack("{s:s,s:s}", "what", what, "costs", costs));
}

// What looking shows; what the spawner found out by doing comes in its report.
static json_t *host_lacks(const struct host_facts *h)
{
	json_t *lacks = json_array();
	if (!h->namespaces) {
		json_array_append_new(lacks, json_pack("{s:s,s:s,s:s}", "what", "no user namespaces", "costs",
		                                       "no sandbox can be made, and nothing weaker takes its place", "remedy",
		                                       h->no_namespaces));
	}
	if (h->proc_masked)
		json_array_append_new(
		        lacks,
		        json_pack("{s:s,s:s,s:s}", "what", "parts of /proc are covered", "costs",
		                  "the kernel gives a sandbox no /proc of its own, so none can be made", "remedy",
		                  "Docker: --security-opt systempaths=unconfined (and --security-opt seccomp=unconfined)"));
	if (!h->seccomp)
		lack(lacks, "no seccomp", "no sandbox can be made, and nothing weaker takes its place");
	if (!h->overlay)
		lack(lacks, "no overlay file system", "a directory can't be a sandbox's root; the host's /usr can");
	if (h->swap)
		lack(lacks, "swap is on", "what a sandbox holds in memory, /tmp included, can reach the disk");
	return lacks;
}

static json_t *selftest_json(const struct selftest *t)
{
	json_t *tries = json_array();
	for (unsigned i = 0; i < t->n; i++) {
		const struct selftest_try *s = &t->tries[i];
		json_array_append_new(tries,
		                      json_pack("{s:s,s:s,s:s,s:s,s:s}", "name", s->name, "what", s->what, "state",
		                                states[s->state], "inside", s->inside == 0 ? "works" : strerror(s->inside),
		                                "outside", s->outside == 0 ? "works" : strerror(s->outside)));
	}
	return json_pack("{s:i,s:i,s:i,s:i,s:f,s:o}", "tried", (int)t->n, "held", (int)t->held, "moot", (int)t->moot, "open",
	                 (int)t->open, "create_ms", t->create_ms, "attempts", tries);
}

static json_t *answer_make(const struct host_facts *h, const struct selftest *t, bool ready, const struct err *e)
{
	json_t *out = json_pack("{s:s,s:b,s:b,s:b,s:i,s:i,s:b,s:b,s:b}", "kernel", h->kernel, "container", h->container,
	                        "user_namespaces", h->namespaces, "seccomp", h->seccomp, "landlock", h->landlock,
	                        "landlock_known", KERNEL_LANDLOCK_MAX, "memfd_exec", h->memfd_exec, "overlay", h->overlay,
	                        "proc_masked", h->proc_masked);
	json_t *lacks = host_lacks(h);
	json_t *report = t->report == NULL ? NULL : json_loads(t->report, 0, NULL);
	json_array_extend(lacks, json_object_get(report, "lacks"));
	json_object_del(report, "lacks");
	json_object_set_new(out, "lacks", lacks);
	json_object_set_new(out, "sandbox", report != NULL ? report : json_null());
	json_object_set_new(out, "self_test", t->n > 0 ? selftest_json(t) : json_null());
	json_object_set_new(out, "ready", json_boolean(ready));
	if (e != NULL)
		json_object_set_new(out, "error", json_string(e->msg));
	return out;
}

static void print_kernel(const struct host_facts *h, const json_t *answer)
{
	const json_t *sandbox = json_object_get(answer, "sandbox"), *cgroup = json_object_get(sandbox, "cgroup");
	const json_t *ids = json_object_get(sandbox, "ids");
	char release[32] = "kernel ";
	snprintf(release + 7, sizeof(release) - 7, "%.*s", (int)strcspn(h->kernel, "-"), h->kernel);
	printf("%-22s  user namespaces %s · Landlock %d of %d", release, h->namespaces ? "ok" : "refused", h->landlock,
	       KERNEL_LANDLOCK_MAX);
	if (json_is_object(cgroup)) {
		int version = (int)json_integer_value(json_object_get(cgroup, "version"));
		if (version == 0)
			printf(" · no cgroup");
		else
			printf(" · cgroup v%d (%s%s%s)", version,
			       json_is_true(json_object_get(cgroup, "memory")) ? "memory" : "no memory",
			       json_is_true(json_object_get(cgroup, "pids")) ? ", processes" : "",
			       json_is_true(json_object_get(cgroup, "cpu")) ? ", cpu" : "");
	}
	if (json_is_object(ids) && json_is_string(json_object_get(ids, "range")))
		printf(" · own uids for %lld sandboxes (%s)", (long long)json_integer_value(json_object_get(ids, "sandboxes")),
		       json_string_value(json_object_get(ids, "source")));
	printf("\n");
}

static void print_sandbox(const struct selftest *t, bool ready, const struct err *e)
{
	if (t->n == 0) {
		printf("%-22s  NOT READY: %s\n", "sandbox", e->msg);
		return;
	}
	printf("%-22s  %s (self-test: %u of %u)", "sandbox",
	       ready ? "ready, all required layers hold" : "NOT READY: it does not hold", t->held, t->n - t->moot);
	printf(" · made in %.1f ms\n", t->create_ms);
	for (unsigned i = 0; i < t->n; i++) {
		const struct selftest_try *s = &t->tries[i];
		if (s->state == SELFTEST_OPEN)
			printf("%-22s  OPEN: from inside it could %s\n", "", s->what);
		else if (s->state == SELFTEST_MOOT)
			printf("%-22s  not shown: %s (refused outside too: %s)\n", "", s->what, strerror(s->outside));
	}
}

static void print_lacks(const json_t *lacks)
{
	size_t i;
	json_t *l;
	json_array_foreach (lacks, i, l) {
		printf("%-22s  %s: %s\n", i == 0 ? "missing" : "", json_string_value(json_object_get(l, "what")),
		       json_string_value(json_object_get(l, "costs")));
		const char *remedy = json_string_value(json_object_get(l, "remedy"));
		if (remedy != NULL)
			printf("%-22s    %s\n", "", remedy);
	}
}

static int run(const struct cli_args *a, struct err *e)
{
	struct host_facts h;
	struct selftest t;
	struct err why = {.kind = ERR_NONE};
	(void)e;
	host_look(&h);
	bool made = !failed(selftest_run(&t, &why));
	bool ready = made && t.open == 0;
	AUTO_JSON json_t *answer = answer_make(&h, &t, ready, made ? NULL : &why);
	if (cli_json(a)) {
		AUTO_FREE char *text = json_text(answer, NULL);
		printf("%s\n", text);
	} else {
		print_kernel(&h, answer);
		print_sandbox(&t, ready, &why);
		print_lacks(json_object_get(answer, "lacks"));
	}
	selftest_fini(&t);
	return ready ? 0 : FOUND_SOMETHING;
}

static const struct cli_option options[] = {{0}};

const struct cli_command cmd_doctor = {
        .name = "doctor",
        .synopsis = "",
        .summary = "say what this machine gives to sandboxes, what is missing, and what that costs",
        .description =
                "Looks at the kernel, makes two sandboxes, and tries to get out of one: each attempt is made outside of a "
                "sandbox too, on "
                "something planted for it, and counts only if it works there. Nothing is left behind.\n\n"
                "The exit status is 0 when sandboxes can be made and hold, and 5 when not.",
        .options = options,
        .rest_min = 0,
        .rest_max = 0,
        .run = run,
};

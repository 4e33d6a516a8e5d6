// Tries to get out of a sandbox, and shows that each try would have worked without one.
#ifndef SALLYPORT_PROVIDER_SELFTEST_H
#define SALLYPORT_PROVIDER_SELFTEST_H

#include <stdbool.h>

#include "base/err.h"

#define SELFTEST_MAX 32

enum selftest_state {
	SELFTEST_HELD, // outside it worked, inside it was refused
	SELFTEST_MOOT, // refused inside, but outside too: on this machine it shows nothing
	SELFTEST_OPEN, // it worked inside
};

struct selftest_try {
	char name[24];
	const char *what;    // what was tried, for people; static
	int inside, outside; // errno, 0: it worked
	enum selftest_state state;
};

struct selftest {
	struct selftest_try tries[SELFTEST_MAX];
	unsigned n, held, moot, open;
	double create_ms; // from asking for the sandbox until it took programs
	char *report;     // the spawner's (spawner.h)
};

// Makes two sandboxes, with what is planted in a directory of its own below $TMPDIR, and removes them. The caller must be able
// to start a spawner (spawner.h). Fails when no sandbox can be made here. Blocks for less than a second, at most 60.
MUST_USE struct result selftest_run(struct selftest *out, struct err *e);
void selftest_fini(struct selftest *t);

#endif

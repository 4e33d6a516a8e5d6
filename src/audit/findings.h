// What a verification found wrong: a list of sentences with their places.
#ifndef SALLYPORT_AUDIT_FINDINGS_H
#define SALLYPORT_AUDIT_FINDINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FINDINGS_MAX 1000 // kept; more are counted
#define FINDINGS_NO_INDEX UINT64_MAX

struct finding {
	uint64_t index; // of the entry, or FINDINGS_NO_INDEX
	char *file;     // below the log's directory, or NULL
	char *text;
};

struct findings {
	struct finding *list;
	size_t n;
	uint64_t total;
};

void findings_add(struct findings *f, uint64_t index, const char *file, const char *fmt, ...) PRINTF_LIKE(4, 5);
void findings_sort(struct findings *f); // by index, those without one last
void findings_fini(struct findings *f);

#endif

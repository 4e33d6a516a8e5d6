#include "audit/findings.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

void findings_add(struct findings *f, uint64_t index, const char *file, const char *fmt, ...)
{
	char text[1024];
	f->total++;
	if (f->n == FINDINGS_MAX)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->list = mem_grow(f->list, f->n + 1, sizeof(*f->list));
	f->list[f->n++] = (struct finding){index, file == NULL ? NULL : mem_strdup(file), mem_strdup(text)};
}

static int by_index(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	return x->index < y->index ? -1 : x->index > y->index;
}

void findings_sort(struct findings *f)
{
	if (f->n > 1)
		qsort(f->list, f->n, sizeof(*f->list), by_index);
}

void findings_fini(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->list[i].file);
		free(f->list[i].text);
	}
	free(f->list);
	*f = (struct findings){0};
}

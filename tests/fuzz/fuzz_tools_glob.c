// A pattern compiles or is refused, and matching ends. The input is a pattern up to the first NUL, then a name.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_from((const char *)data, size), pattern, rest;
	struct glob_patterns g;
	struct err e = {0};
	char name[256] = "";

	span_cut(all, '\0', &pattern, &rest);
	if (pattern.len > 300 || !span_is_utf8(pattern)) // what comes out of JSON is UTF-8; long ones only take long
		return -1;
	if (!span_is_utf8(rest))
		rest.len = 0;
	memcpy(name, rest.data, rest.len < 255 ? rest.len : 255);
	if (failed(glob_compile(pattern, &g, &e))) {
		if (e.msg[0] == '\0')
			abort();
	} else {
		for (size_t i = 0; i < g.list.count && i < 50; i++) {
			const struct glob_pattern *p = g.list.items[i];
			for (size_t k = 0; k < p->count && k < 50; k++)
				(void)glob_part_matches(&p->parts[k], name);
		}
	}
	glob_fini(&g);
	return 0;
}

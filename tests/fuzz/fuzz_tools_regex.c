// A JavaScript regular expression is translated or refused with words; what is translated, PCRE2 takes or refuses; a match
// ends.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tools/regex.h"
#include "tools/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_from((const char *)data, size), pattern, line;
	struct regex *r = NULL;
	struct err e = {0};
	size_t n;

	span_cut(all, '\0', &pattern, &line);
	if (failed(regex_new(pattern, &r, &e))) {
		if (e.msg[0] == '\0')
			abort();
		return 0;
	}
	uint16_t *units = text_utf16(line, &n);
	(void)regex_test(r, units, n < 2000 ? n : 2000, clock_mono_ms() + 20);
	free(units);
	regex_free(r);
	return 0;
}

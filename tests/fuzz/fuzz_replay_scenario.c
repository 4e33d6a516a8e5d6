// A scenario file: read or refused.
#include <stddef.h>
#include <stdint.h>

#include "replay/scenario.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scenario *s;
	struct err e;
	if (!failed(scenario_parse((struct span){(const char *)data, size}, "s", &s, &e)))
		scenario_free(s);
	return 0;
}

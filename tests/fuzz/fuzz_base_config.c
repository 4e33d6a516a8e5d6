// Whatever stands in a configuration file, loading it ends in a configuration or in one error.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/tmp/fuzz-config-XXXXXX";
	struct config *c = NULL;
	struct err e = {0};
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
	if (!failed(config_load(path, &c, &e)))
		config_free(c);
	else if (e.msg[0] == '\0')
		abort();
	unlink(path);
	return 0;
}

// Picks the command.
#include <fcntl.h>
#include <unistd.h>

#include "cli/cli.h"

// Started with 0, 1 or 2 closed, the first file we open would take that number, and what we print would end up in it.
static void fill_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	return cli_main(argc, argv);
}

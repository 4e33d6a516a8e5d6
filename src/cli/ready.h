// How a process says that it is ready: one JSON line on the descriptor that --ready-fd names, which is then closed.
#ifndef SALLYPORT_CLI_READY_H
#define SALLYPORT_CLI_READY_H

#include "cli/cli.h"

// The option, for a command's table; "address" is left out when it is NULL. Without --ready-fd ready_tell does nothing.
#define READY_OPTION                                                                 \
	{                                                                            \
		"ready-fd", "N", "say on descriptor N, in one JSON line, when ready" \
	}

// {"role":…,"pid":…,"address":…}. ERR_MISUSED when N is no descriptor that can be written.
MUST_USE struct result ready_tell(const struct cli_args *a, const char *role, const char *address, struct err *e);

#endif

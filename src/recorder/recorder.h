// The recorder: the one process that holds the machine's audit log and its key. Everyone else hands entries in over
// data_dir/run/recorder.sock and waits for the acknowledgement.
#ifndef SALLYPORT_RECORDER_RECORDER_H
#define SALLYPORT_RECORDER_RECORDER_H

#include "base/config.h"
#include "base/err.h"

// Runs until SIGTERM or SIGINT, then writes a last checkpoint. `ready` is called once, when the first entry (its own, that it
// began) is on disk.
MUST_USE struct result recorder_run(const struct config *c,
                                    struct result (*ready)(void *arg, const char *address, struct err *e), void *arg,
                                    struct err *e);

#endif

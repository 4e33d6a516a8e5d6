// The sandbox's /etc: a few files of ours and a named list of the host's, which everybody on the host can read.
#ifndef SALLYPORT_SANDBOX_ETC_H
#define SALLYPORT_SANDBOX_ETC_H

#include "base/err.h"

#define ETC_USER "agent" // the tools' name, uid and gid 1000, home /home/agent

// In a mount namespace of our own, relative to the working directory: all of it, for a root from the host's /usr.
MUST_USE struct result etc_build(const char *dir, struct err *e);

// Only what has to lie over the /etc of the directory `root`: hosts, resolv.conf, nsswitch.conf, and its own passwd and group
// with the tools' user in them.
MUST_USE struct result etc_build_over(const char *dir, const char *root, struct err *e);

// The host's names that are let through, for the documentation and its tests; NULL-terminated.
extern const char *const etc_host_files[];
extern const char *const etc_host_dirs[]; // patterns of glob(3)

#endif

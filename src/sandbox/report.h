// What holds around every sandbox of a spawner, and what this machine does not give: evidence, for people and programs.
#ifndef SALLYPORT_SANDBOX_REPORT_H
#define SALLYPORT_SANDBOX_REPORT_H

#include "sandbox/boxes.h"
#include "sandbox/kernel.h"

// A heap string: {"layers":[…],"lacks":[{"what":…,"costs":…}],"ids":{…},"landlock":N,"cgroup":{…},"root":…}
char *report_make(const struct boxes *b, const struct kernel_landlock *landlock);

#endif

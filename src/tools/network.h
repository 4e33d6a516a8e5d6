// Attempts to leave a sandbox that has no network, as the kernel counts them in the sandbox's own network namespace. A
// program's words ("could not resolve host") tell a model nothing it can act on; the count is proof, whatever the program said.
#ifndef SALLYPORT_TOOLS_NETWORK_H
#define SALLYPORT_TOOLS_NETWORK_H

#include <stdint.h>

// What a bash call's answer ends with when such an attempt was made meanwhile.
#define NETWORK_DENIED                                                                                 \
	"[sallyport] denied: this sandbox has no network (rule \"network: none\"). No address can be " \
	"reached and no name resolved from here; trying again will not help."

// Packets and connections refused so far for want of a route (IpOutNoRoutes, Ip6OutNoRoutes of /proc/net); 0 when not known.
uint64_t network_refused(void);

#endif

// What the parts of the worker share.
#ifndef SALLYPORT_WORKER_WORKER_STATE_H
#define SALLYPORT_WORKER_WORKER_STATE_H

#include "audit/audit.h"
#include "net/loop.h"

struct rooms;
struct ledger;
struct plane;

struct worker {
	struct loop *loop;
	struct plane *plane;
	struct ledger *ledger;
	struct audit_client *audit;
	struct rooms *rooms;
	uint64_t max_idle_ms; // 0: never
	uint64_t lease_ttl_s; // asked of control; 0: what it likes
};

// How the control plane we serve delivers open calls (base/protocol.h).
enum delivery {
	DELIVERY_UNTOLD,        // it runs them again on whoever comes next: the hosted service
	DELIVERY_AT_MOST_ONCE,  // Sallyport's control, which keeps count
	DELIVERY_AT_LEAST_ONCE, // the same, told to do as the hosted service does
};

#endif

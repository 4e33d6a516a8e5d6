// Routes of the work queue (managed-agents-api.md 2.3 to 2.7).
#ifndef SALLYPORT_CONTROL_WORK_ROUTES_H
#define SALLYPORT_CONTROL_WORK_ROUTES_H

#include "control/request.h"

void work_poll(struct request *r);
void work_list(struct request *r);
void work_stats(struct request *r);
void work_get(struct request *r);
void work_update(struct request *r);
void work_ack(struct request *r);
void work_heartbeat(struct request *r);
void work_stop(struct request *r);

#endif

// What Sallyport's control and worker say to each other beyond the public protocol: two HTTP fields. Both sides work without.
#ifndef SALLYPORT_BASE_PROTOCOL_H
#define SALLYPORT_BASE_PROTOCOL_H

// Request, from the worker, on its polls and on every call of a work item: the stable id of its journal of calls. The same id
// means the same journal, so that worker alone can tell how a call went that was exposed to an earlier lease of its.
#define PROTOCOL_JOURNAL_FIELD "Sallyport-Journal"

// Answer, from control, on every answer to work/poll (empty ones too): how calls of this environment are delivered. A worker
// that sees neither value serves a control plane that runs open calls again, and must find out itself what it may run.
#define PROTOCOL_CALLS_FIELD "Sallyport-Calls"
#define PROTOCOL_CALLS_AT_MOST_ONCE "at-most-once"
#define PROTOCOL_CALLS_AT_LEAST_ONCE "at-least-once"

#endif

// The agent loop: for each session that is due, one model request after another, until the model has no more to say or waits
// for results. A state machine over the event log (docs/internals/agent-loop.md): everything that it must remember is there, so
// a crash at any moment loses at most a request that is asked again.
#ifndef SALLYPORT_CONTROL_AGENT_LOOP_H
#define SALLYPORT_CONTROL_AGENT_LOOP_H

#include "audit/audit.h"
#include "control/event_log.h"
#include "model/model_client.h"
#include "net/loop.h"

struct agent_loop;

struct agent_loop_opts {
	struct loop *loop;
	struct event_log *log;
	struct model_client *models;
	struct audit_client *audit;
};

// Takes the log's changes (event_log_on_change) and resumes what a crash left (event_log_resume). All of `o` must outlive it.
struct agent_loop *agent_loop_start(const struct agent_loop_opts *o);
// Drops every model request and begins none; commits under way may still end. The log is left as after a crash.
void agent_loop_drain(struct agent_loop *l);
// Drops everything. No callback of the log's may come afterwards.
void agent_loop_stop(struct agent_loop **l); // NULL is fine

// How many sessions have a turn under way.
size_t agent_loop_turns(const struct agent_loop *l);

#endif

// What the parts of the agent loop share: one session's turn under way.
#ifndef SALLYPORT_CONTROL_AGENT_LOOP_TURN_H
#define SALLYPORT_CONTROL_AGENT_LOOP_TURN_H

#include "base/random.h"
#include "control/agent_loop.h"
#include "control/agent_loop_answer.h"
#include "control/agent_loop_history.h"

enum agent_loop_step {
	AGENT_LOOP_LOOK,   // the log says which model it is
	AGENT_LOOP_LINE,   // for a place among that model's requests
	AGENT_LOOP_BEGIN,  // the log appends span.model_request_start
	AGENT_LOOP_READ,   // the log gives the events
	AGENT_LOOP_INTENT, // the recorder takes the intent
	AGENT_LOOP_ASK,    // the model answers
	AGENT_LOOP_END,    // the log stores the outcome, in one commit
	AGENT_LOOP_WAIT,   // before the next try
};

struct agent_loop_turn {
	struct agent_loop *owner;
	struct agent_loop_turn *next; // in its bucket
	char session[ID_MAX];
	enum agent_loop_step step;
	bool stale;            // dropped while the log was busy: let go when it calls back
	bool again;            // due anew while the log was busy
	unsigned log_failures; // in a row
	uint64_t retry_ms;     // after AGENT_LOOP_END: when to ask again; 0: not
	char span[ID_MAX];
	int64_t up_to_seq;
	struct agent_loop_history history;
	json_t *agent;
	const struct config_model *model; // known once it was looked for
	struct model_place *place;
	struct buf body; // the request, until it is sent
	struct audit_pending *intent;
	struct model_call *call;
	struct agent_loop_ids *ids;
	uint64_t asked_us;
	struct loop_timer *timer;
};

#define AGENT_LOOP_BUCKETS 1024

struct agent_loop {
	struct agent_loop_opts o;
	struct agent_loop_turn *buckets[AGENT_LOOP_BUCKETS]; // by session
	size_t n_turns;
	bool draining;
};

// The session's turn, NULL when none is under way.
struct agent_loop_turn *agent_loop_turn_find(const struct agent_loop *l, const char *session);
struct agent_loop_turn *agent_loop_turn_new(struct agent_loop *l, const char *session);
// Forgets the request that is under way or about to be, whatever it has brought.
void agent_loop_turn_drop_request(struct agent_loop_turn *t);
void agent_loop_turn_free(struct agent_loop_turn *t);
// Frees those that fit (NULL: all).
void agent_loop_turn_free_all(struct agent_loop *l, bool (*fits)(const struct agent_loop_turn *t));

// Records that the model is about to be asked, and by the second that it was: `why` is NULL when it answered.
struct audit_pending *agent_loop_audit_intent(struct agent_loop_turn *t, void (*done)(void *arg, const struct err *e));
void agent_loop_audit_outcome(struct agent_loop_turn *t, const char *why);

// Previews for the streams that asked for them, while the answer comes (`arg` is the turn).
void agent_loop_on_block(void *arg, size_t index, struct span type);
void agent_loop_on_text(void *arg, size_t index, struct span text);

#endif

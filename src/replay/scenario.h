// A written scenario: what the replayed model says at which point of which conversation (docs/model-replay.md).
//
// A scenario is a list of scenes; a conversation plays in the first scene whose condition on the first user text holds, and
// each request is answered by the first step of that scene whose conditions hold. Nothing else decides: the same request
// always gets the same answer, but for a step's faults, which are counted down.
#ifndef SALLYPORT_REPLAY_SCENARIO_H
#define SALLYPORT_REPLAY_SCENARIO_H

#include "base/err.h"
#include "base/json.h"
#include "base/yaml.h"

// A condition on a text. No condition at all (SCENARIO_ANY) always holds.
struct scenario_match {
	enum scenario_how { SCENARIO_ANY, SCENARIO_EQUALS, SCENARIO_CONTAINS, SCENARIO_STARTS } how;
	struct span text;
};

struct scenario_when {
	struct scenario_match user;   // the latest user text
	struct scenario_match result; // the latest tool result; holds only if the last message brings one
	struct span tool;             // the name of the tool that result is of; empty: any
	uint64_t turn;                // this is the nth answer of the conversation, from 1; 0: any
	uint64_t round;               // the nth answer since the latest user text, from 1; 0: any
	int failed;                   // 1 or 0: that result is an error or is none; -1: any
};

// A variable: a piece of an earlier text. `json` is an RFC 6901 pointer into it; else the piece stands behind `after` and ends
// at `before` (empty: at the text's start, at its end).
struct scenario_take {
	struct span name;
	enum scenario_from { SCENARIO_FROM_RESULT, SCENARIO_FROM_USER, SCENARIO_FROM_FIRST } from;
	struct span tool; // result: the latest one of this tool; empty: of any
	uint64_t turn;    // result: of a call made in the nth answer; 0: any
	struct span json, after, before;
	bool has_json;
	const struct yaml_node *at;
};

struct scenario_fault {
	enum scenario_deed {
		SCENARIO_STALL,    // `at` events, then silence
		SCENARIO_TRUNCATE, // `at` events, then the answer ends as if it were complete
		SCENARIO_DROP,     // `at` events, then the connection is cut
		SCENARIO_GARBAGE,  // `at` events, an event that is no JSON, then the rest
		SCENARIO_ERROR,    // `at` events, then an error event
		SCENARIO_STATUS,   // an HTTP error instead of an answer
		SCENARIO_DRIP,     // everything, `bytes` at a time
	} deed;
	uint64_t at, times;
	uint64_t status, retry_after; // SCENARIO_STATUS; retry_after in seconds, UINT64_MAX: no such field
	struct span type;             // of the error; empty: what belongs to the status
	uint64_t bytes, pause_us;     // SCENARIO_DRIP
};

struct scenario_step {
	struct scenario_when when;
	json_t *say;      // array of {"text"} | {"thinking"} | {"tool","input"}, variables not yet filled in
	struct span stop; // stop_reason
	uint64_t input_tokens, output_tokens; // UINT64_MAX: counted from the text
	uint64_t pace_us;                     // between events
	struct scenario_fault *faults;
	size_t n_faults;
	size_t index; // over the whole scenario: where its fault counters are kept
};

struct scenario_scene {
	struct scenario_match when; // on the first user text
	struct scenario_take *takes;
	size_t n_takes;
	struct scenario_step *steps;
	size_t n_steps;
};

struct scenario {
	struct yaml_doc *doc; // owns every span here
	struct scenario_scene *scenes;
	size_t n_scenes;
	size_t n_steps; // in all scenes
};

// Reads a scenario; every error names file, line and column. *out is freed with scenario_free.
MUST_USE struct result scenario_load(const char *path, struct scenario **out, struct err *e);
MUST_USE struct result scenario_parse(struct span text, const char *name, struct scenario **out, struct err *e);
void scenario_free(struct scenario *s);

bool scenario_match_holds(const struct scenario_match *m, struct span text);

// The variable of that name, NULL if the scene has none.
const struct scenario_take *scenario_take_get(const struct scenario_scene *scene, struct span name);

#endif

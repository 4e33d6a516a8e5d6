// Model requests over HTTP: any Messages API endpoint, streaming.
#ifndef SALLYPORT_MODEL_MODEL_CLIENT_H
#define SALLYPORT_MODEL_MODEL_CLIENT_H

#include "base/config.h"
#include "model/model_answer.h"
#include "model/model_place.h"
#include "net/loop.h"

struct model_client;
struct model_call;

// Reads the models' key files, and sees that those of their authorities can be read. `control` is borrowed and must outlive the
// client.
MUST_USE struct result model_client_new(struct loop *l, const struct config_control *control, struct model_client **out,
                                        struct err *e);
void model_client_free(struct model_client *c); // every call must have ended or been cancelled

// The first configured model whose name is `model`, or a prefix of it before a '*'; NULL when there is none.
const struct config_model *model_client_find(const struct model_client *c, struct span model);

// The line for that model's requests: a call needs a place in it.
struct model_line *model_client_line(const struct model_client *c, const struct config_model *m);

struct model_call_opts {
	const struct config_model *model; // from model_client_find
	struct span body;                 // from model_turn_request; copied
	bool fast;                        // the body asks for fast mode, which needs a header too
	struct model_decoder_calls while_it_comes;
	// Once, unless cancelled: an answer (to be taken over or freed with model_answer_fini), else a failure.
	void (*done)(void *arg, struct model_answer *answer, const struct model_failure *failure);
	void *arg;
};
struct model_call *model_call_start(struct model_client *c, const struct model_call_opts *o);
void model_call_cancel(struct model_call **call); // NULL is fine; no callback afterwards

#endif

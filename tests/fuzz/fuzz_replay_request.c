// A Messages request to the replayed model: what is taken for a conversation can be asked about and answered.
#include <stddef.h>
#include <stdint.h>

#include "replay/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char scenario[] =
        "version: 1\n"
        "scenes:\n"
        "  - take:\n"
        "      a: {from: first, after: x, before: y}\n"
        "      b: {tool: bash, json: /a/0}\n"
        "    steps:\n"
        "      - when: {failed: true}\n"
        "        say: [{text: '{{b}}'}]\n"
        "      - when: {}\n"
        "        say: [{text: '{{a}}'}, {tool: bash, input: {k: '{{a}}'}}]\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scenario *s;
	struct err e;
	if (s == NULL)
		BUG_ON(failed(scenario_parse(SPAN_LIT(scenario), "s", &s, &e)));
	json_t *AUTO_JSON request = NULL;
	struct conversation c;
	if (failed(json_parse_object((struct span){(const char *)data, size}, "request", &request, &e)) ||
	    failed(conversation_read(request, &c, &e)))
		return 0;
	const struct scenario_scene *scene;
	const struct scenario_step *step;
	json_t *AUTO_JSON message = NULL;
	if (!failed(reply_find(s, &c, &scene, &step, &e)) &&
	    !failed(reply_message(scene, step, &c, SPAN_LIT("m"), &message, &e))) {
		struct reply_frames f;
		reply_frames_make(message, &f);
		reply_frames_fini(&f);
	}
	conversation_fini(&c);
	return 0;
}

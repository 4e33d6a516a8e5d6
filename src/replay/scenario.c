#include "replay/scenario.h"

#include "base/mem.h"

bool scenario_match_holds(const struct scenario_match *m, struct span text)
{
	switch (m->how) {
	case SCENARIO_EQUALS:
		return span_eq(text, m->text);
	case SCENARIO_CONTAINS:
		return memmem(text.data, text.len, m->text.data, m->text.len) != NULL;
	case SCENARIO_STARTS:
		return text.len >= m->text.len && span_eq(span_head(text, m->text.len), m->text);
	default:
		return true;
	}
}

const struct scenario_take *scenario_take_get(const struct scenario_scene *scene, struct span name)
{
	for (size_t i = 0; i < scene->n_takes; i++)
		if (span_eq(scene->takes[i].name, name))
			return &scene->takes[i];
	return NULL;
}

void scenario_free(struct scenario *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_scenes; i++) {
		struct scenario_scene *scene = &s->scenes[i];
		for (size_t k = 0; k < scene->n_steps; k++) {
			json_decref(scene->steps[k].say);
			free(scene->steps[k].faults);
		}
		free(scene->steps);
		free(scene->takes);
	}
	free(s->scenes);
	yaml_doc_free(s->doc);
	free(s);
}

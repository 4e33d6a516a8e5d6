// Reading the plan.
#include "init.h"

const struct plan_step *plan_steps(const struct plan *p)
{
	return (const struct plan_step *)(p + 1);
}

const struct plan_rule *plan_rules(const struct plan *p)
{
	return (const struct plan_rule *)(plan_steps(p) + p->n_steps);
}

const struct plan_limit *plan_limits(const struct plan *p)
{
	return (const struct plan_limit *)(plan_rules(p) + p->n_rules);
}

static const char *strings(const struct plan *p)
{
	return (const char *)(plan_limits(p) + p->n_limits);
}

const char *plan_string(const struct plan *p, uint16_t offset)
{
	return offset == 0 ? NULL : strings(p) + offset;
}

int plan_check(const struct plan *p, size_t size)
{
	if (size < sizeof(*p) || p->magic != PLAN_MAGIC || p->size != size)
		return -22;
	const char *begin = strings(p), *end = (const char *)p + size;
	if (begin >= end || *begin != '\0' || end[-1] != '\0' || end - begin > 0xffff)
		return -22;
	uint16_t max = (uint16_t)(end - begin - 1);
	for (uint32_t i = 0; i < p->n_steps; i++) {
		const struct plan_step *s = &plan_steps(p)[i];
		if (s->a > max || s->b > max || s->c > max || s->d > max)
			return -22;
	}
	for (uint32_t i = 0; i < p->n_rules; i++) {
		if (plan_rules(p)[i].path > max)
			return -22;
	}
	return 0;
}

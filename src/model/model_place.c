#include "model/model_place.h"

#include "base/mem.h"

struct model_place {
	struct model_line *line;
	struct model_place *prev, *next; // in the line
	struct loop_timer *telling;      // had, and `yours` is still to come
	bool had;
	void (*yours)(void *arg);
	void *arg;
};

struct model_line {
	struct loop *loop;
	uint32_t free;
	struct model_place *head, *tail;
};

struct model_line *model_place_line_new(struct loop *l, uint32_t places)
{
	struct model_line *line = NEW(struct model_line);
	line->loop = l;
	line->free = places;
	return line;
}

void model_place_line_free(struct model_line *line)
{
	BUG_ON(line != NULL && line->head != NULL);
	free(line);
}

static void tell(void *arg)
{
	struct model_place *p = arg;
	p->telling = NULL;
	p->yours(p->arg);
}

static void step_out(struct model_place *p)
{
	struct model_line *line = p->line;
	*(p->prev != NULL ? &p->prev->next : &line->head) = p->next;
	*(p->next != NULL ? &p->next->prev : &line->tail) = p->prev;
}

static void serve(struct model_line *line)
{
	while (line->free > 0 && line->head != NULL) {
		struct model_place *p = line->head;
		step_out(p);
		line->free--;
		p->had = true;
		p->telling = loop_timer_start(line->loop, 0, tell, p);
	}
}

struct model_place *model_place_take(struct model_line *line, void (*yours)(void *arg), void *arg)
{
	struct model_place *p = NEW(struct model_place);
	*p = (struct model_place){.line = line, .yours = yours, .arg = arg, .prev = line->tail};
	*(line->tail != NULL ? &line->tail->next : &line->head) = p;
	line->tail = p;
	serve(line);
	return p;
}

void model_place_leave(struct model_place **place)
{
	struct model_place *p = STEAL(*place);
	if (p == NULL)
		return;
	struct model_line *line = p->line;
	loop_timer_cancel(&p->telling);
	if (p->had)
		line->free++;
	else
		step_out(p);
	free(p);
	serve(line);
}

// A place among the requests that may be under way at one model's endpoint at once. Who finds none free stands in line, first
// come, first served, and holds neither a descriptor nor a request's text meanwhile.
#ifndef SALLYPORT_MODEL_MODEL_PLACE_H
#define SALLYPORT_MODEL_MODEL_PLACE_H

#include <stdint.h>

#include "net/loop.h"

struct model_line;
struct model_place;

struct model_line *model_place_line_new(struct loop *l, uint32_t places);
void model_place_line_free(struct model_line *line); // nobody may be in it; NULL is fine

// `yours` comes once, from the loop, when the place is had; it is had until model_place_leave.
struct model_place *model_place_take(struct model_line *line, void (*yours)(void *arg), void *arg);
// Gives it back, or leaves the line: then `yours` does not come. NULL is fine.
void model_place_leave(struct model_place **place);

#endif

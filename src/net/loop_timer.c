#include <limits.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/loop_internal.h"

struct loop_timer {
	struct loop *loop;
	uint64_t deadline_us;
	uint64_t seq;
	size_t at; // its place in the heap
	void (*fired)(void *arg);
	void *arg;
};

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->deadline_us != b->deadline_us ? a->deadline_us < b->deadline_us : a->seq < b->seq;
}

static void place(struct loop *l, struct loop_timer *t, size_t at)
{
	l->heap[at] = t;
	t->at = at;
}

// Puts `t` where it belongs, given that the hole at `at` is where it may stand or start from.
static void settle(struct loop *l, struct loop_timer *t, size_t at)
{
	while (at > 0 && before(t, l->heap[(at - 1) / 2])) {
		place(l, l->heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * at + 1;
		if (child + 1 < l->n_timers && before(l->heap[child + 1], l->heap[child]))
			child++;
		if (child >= l->n_timers || !before(l->heap[child], t))
			break;
		place(l, l->heap[child], at);
		at = child;
	}
	place(l, t, at);
}

struct loop_timer *loop_timer_start(struct loop *l, uint64_t ms, void (*fired)(void *arg), void *arg)
{
	uint64_t now = clock_mono_us();
	struct loop_timer *t = NEW(struct loop_timer);
	*t = (struct loop_timer){.loop = l, .seq = l->next_seq++, .fired = fired, .arg = arg};
	// Far beyond any uptime means never, and must not overflow.
	t->deadline_us = ms > INT64_MAX / 1000 ? INT64_MAX : now + ms * 1000;
	if (l->n_timers == l->heap_cap) {
		l->heap_cap = l->heap_cap == 0 ? 16 : l->heap_cap * 2;
		l->heap = mem_grow(l->heap, l->heap_cap, sizeof(struct loop_timer *));
	}
	l->n_timers++;
	l->live++;
	settle(l, t, l->n_timers - 1);
	return t;
}

static void leave(struct loop_timer *t)
{
	struct loop *l = t->loop;
	struct loop_timer *last = l->heap[--l->n_timers];
	if (last != t)
		settle(l, last, t->at);
	l->live--;
}

void loop_timer_cancel(struct loop_timer **h)
{
	struct loop_timer *t = STEAL(*h);
	if (t == NULL)
		return;
	leave(t);
	free(t);
}

int loop_timer_wait(const struct loop *l)
{
	if (l->n_timers == 0)
		return -1;
	uint64_t now = clock_mono_us(), due = l->heap[0]->deadline_us;
	uint64_t ms = due <= now ? 0 : (due - now + 999) / 1000;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

void loop_timer_run(struct loop *l, uint64_t seq)
{
	// One started in this turn can't be due before an older one that is, so the first of them ends the run.
	while (!l->stopping && l->n_timers > 0) {
		struct loop_timer *t = l->heap[0];
		// NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a timer that was freed has left the heap
		if (t->deadline_us > l->now_us || t->seq >= seq)
			break;
		void (*fired)(void *) = t->fired;
		void *arg = t->arg;
		leave(t);
		free(t);
		fired(arg);
	}
}

// The idle countdown: what starts it, what stops it, and what it waits for.
#include "worker/idle.h"

#include "base/clock.h"
#include "unit/unit.h"

#define IDLE_MS 40

struct world {
	struct loop *loop;
	struct idle idle;
	struct loop_timer *limit;
	bool expired;
};

static void expired(void *arg)
{
	struct world *w = arg;
	w->expired = true;
	loop_stop(w->loop);
}

static void limit(void *arg)
{
	struct world *w = arg;
	w->limit = NULL;
	loop_stop(w->loop);
}

// Runs the loop until the countdown ends, or for three times its length.
static bool expires(struct world *w)
{
	w->expired = false;
	w->limit = loop_timer_start(w->loop, 3 * IDLE_MS, limit, w);
	loop_run(w->loop);
	loop_timer_cancel(&w->limit);
	return w->expired;
}

static void note(struct world *w, const char *text)
{
	AUTO_JSON json_t *ev = NULL;
	assert_false(failed(json_parse_object(span_of(text), "event", &ev, NULL)));
	idle_note_event(&w->idle, ev);
}

#define END "{\"type\":\"session.status_idle\",\"stop_reason\":{\"type\":\"end_turn\"}}"
#define NEEDS "{\"type\":\"session.status_idle\",\"stop_reason\":{\"type\":\"requires_action\"}}"

static int begin(void **state)
{
	static struct world w;
	w = (struct world){0};
	assert_false(failed(loop_new(&w.loop, NULL)));
	idle_init(&w.idle, w.loop, IDLE_MS, expired, &w);
	*state = &w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;
	idle_fini(&w->idle);
	loop_free(w->loop);
	return 0;
}

static void only_an_ended_turn_starts_it(void **state)
{
	struct world *w = *state;
	note(w, NEEDS);
	assert_false(expires(w));
	note(w, END);
	assert_true(expires(w));
	note(w, "{\"type\":\"session.status_idle\",\"stop_reason\":{\"type\":\"a reason of tomorrow\"}}");
	assert_true(expires(w));
	note(w, "{\"type\":\"session.status_idle\"}");
	assert_true(expires(w));
}

static void any_event_stops_it_but_the_neutral(void **state)
{
	struct world *w = *state;
	note(w, END);
	note(w, "{\"type\":\"user.message\"}");
	assert_false(expires(w));
	note(w, END);
	note(w, "{\"type\":\"user.tool_confirmation\"}");
	note(w, "{\"type\":\"session.thread_status_terminated\"}");
	assert_true(expires(w));
}

static void a_thread_that_ended_stops_it_when_the_history_was_not_read(void **state)
{
	struct world *w = *state;
	note(w, END);
	idle_note_history(&w->idle, false);
	note(w, "{\"type\":\"session.thread_status_terminated\"}");
	assert_false(expires(w));
}

static void it_waits_for_calls(void **state)
{
	struct world *w = *state;
	idle_block(&w->idle);
	idle_block(&w->idle);
	note(w, END);
	assert_false(expires(w));
	idle_unblock(&w->idle);
	assert_false(expires(w));
	idle_unblock(&w->idle);
	assert_true(expires(w));
	note(w, END);
	idle_block(&w->idle); // while it runs
	assert_false(expires(w));
	note(w, "{\"type\":\"user.message\"}");
	idle_unblock(&w->idle);
	assert_false(expires(w));
}

static void zero_is_never(void **state)
{
	struct world *w = *state;
	w->idle.max_ms = 0;
	note(w, END);
	assert_false(expires(w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(only_an_ended_turn_starts_it, begin, end),
	        cmocka_unit_test_setup_teardown(any_event_stops_it_but_the_neutral, begin, end),
	        cmocka_unit_test_setup_teardown(a_thread_that_ended_stops_it_when_the_history_was_not_read, begin, end),
	        cmocka_unit_test_setup_teardown(it_waits_for_calls, begin, end),
	        cmocka_unit_test_setup_teardown(zero_is_never, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

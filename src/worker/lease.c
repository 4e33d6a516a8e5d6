#include "worker/lease.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define BEAT_MAX_MS 30000
#define BEAT_MIN_MS 1000
#define TTL_ASSUMED_MS 90000 // before the first answer
#define TTL_MAX_S 3600
#define VALUE_MAX 256
#define FIRST "NO_HEARTBEAT"

struct lease {
	struct lease_opts o;
	char *item, *token;
	struct plane_call *beat;
	struct loop_timer *next, *cutoff, *deadline;
	char last[VALUE_MAX];
	uint64_t ttl_ms, interval_ms;
	uint64_t sent_ms;    // the beat under way
	uint64_t success_ms; // when the last successful one was sent
	int64_t began_us;
	bool held, over;
};

static void beat(void *arg);

static void stop(struct lease *l)
{
	l->over = true;
	plane_cancel(&l->beat);
	loop_timer_cancel(&l->next);
	loop_timer_cancel(&l->cutoff);
	loop_timer_cancel(&l->deadline);
}

static void end(struct lease *l, enum lease_end why)
{
	stop(l);
	l->o.ended(l->o.arg, why);
}

// Control may give the item away when its TTL is over; we are done a little before.
static uint64_t live_until(const struct lease *l)
{
	uint64_t margin = l->ttl_ms / 10;
	return l->success_ms + l->ttl_ms - (margin < 3000 ? margin : 3000);
}

static void deadline_passed(void *arg)
{
	struct lease *l = arg;
	l->deadline = NULL;
	log_error("worker.lease_assumed_lost", "item=%s ttl_ms=%llu", l->item, (unsigned long long)l->ttl_ms);
	end(l, LEASE_LOST);
}

static void set_deadline(struct lease *l)
{
	uint64_t now = clock_mono_ms(), until = live_until(l);
	loop_timer_cancel(&l->deadline);
	l->deadline = loop_timer_start(plane_loop(l->o.plane), until > now ? until - now : 0, deadline_passed, l);
}

static void arm_next(struct lease *l)
{
	uint64_t since = clock_mono_ms() - l->sent_ms;
	l->next = loop_timer_start(plane_loop(l->o.plane), since < l->interval_ms ? l->interval_ms - since : 0, beat, l);
}

// The answer's members; false when it is not a heartbeat.
static bool read_beat(struct lease *l, const json_t *body, struct span *state, bool *extended)
{
	struct err e;
	struct span value;
	int64_t ttl = 0;
	if (!json_is_object(body) || failed(json_get_string(body, "heartbeat", "last_heartbeat", &value, &e)) ||
	    failed(json_get_string(body, "heartbeat", "state", state, &e)) ||
	    failed(json_opt_bool(body, "heartbeat", "lease_extended", false, extended, &e)) ||
	    failed(json_opt_int(body, "heartbeat", "ttl_seconds", 0, &ttl, &e)) || value.len >= VALUE_MAX)
		return false;
	snprintf(l->last, sizeof(l->last), "%.*s", SPAN_FMT(value));
	if (ttl > 0) {
		l->ttl_ms = (uint64_t)(ttl < TTL_MAX_S ? ttl : TTL_MAX_S) * 1000;
		l->interval_ms = l->ttl_ms / 2 < BEAT_MAX_MS ? l->ttl_ms / 2 : BEAT_MAX_MS;
		if (l->interval_ms < BEAT_MIN_MS)
			l->interval_ms = BEAT_MIN_MS;
	}
	if (!l->held && failed(clock_parse(value, &l->began_us, NULL)))
		l->began_us = 0;
	return true;
}

static void taken(struct lease *l, const json_t *body)
{
	struct span state = {0};
	bool extended = false, first = !l->held;
	if (!read_beat(l, body, &state, &extended)) {
		log_warn("worker.heartbeat_unreadable", "item=%s", l->item);
		arm_next(l);
		return;
	}
	if (span_is(state, "stopping") || span_is(state, "stopped") || !extended) {
		log_info("worker.lease_stopping", "item=%s state=%s extended=%d", l->item, LOG_Q(state), extended);
		end(l, LEASE_STOPPING);
		return;
	}
	l->held = true;
	l->success_ms = l->sent_ms;
	set_deadline(l);
	arm_next(l);
	if (l->o.extended != NULL) {
		uint64_t now = clock_mono_ms(), until = live_until(l);
		l->o.extended(l->o.arg, clock_utc_us() + (until > now ? (int64_t)(until - now) * 1000 : 0));
	}
	if (first)
		l->o.held(l->o.arg);
}

static void answered(void *arg, const struct plane_answer *a)
{
	struct lease *l = arg;
	l->beat = NULL;
	loop_timer_cancel(&l->cutoff);
	if (a->ok) {
		taken(l, a->body);
	} else if (a->status == 412) {
		log_error("worker.lease_lost", "item=%s error=%s", l->item, LOG_Q(span_of(a->why.msg)));
		end(l, LEASE_LOST);
	} else if (a->fatal) {
		log_error("worker.heartbeat_refused", "item=%s error=%s", l->item, LOG_Q(span_of(a->why.msg)));
		end(l, LEASE_REFUSED);
	} else {
		log_warn("worker.heartbeat_failed", "item=%s error=%s", l->item, LOG_Q(span_of(a->why.msg)));
		arm_next(l);
	}
}

// A request that hangs must not outlive the lease that it is to renew.
static void cut_off(void *arg)
{
	struct lease *l = arg;
	l->cutoff = NULL;
	plane_cancel(&l->beat);
	log_warn("worker.heartbeat_failed", "item=%s error=\"no answer in %llu ms\"", l->item,
	         (unsigned long long)l->interval_ms);
	beat(l);
}

// Everything but what RFC 3986 section 2.3 leaves unreserved.
static void percent_encode(const char *in, char out[3 * VALUE_MAX])
{
	size_t n = 0;
	for (; *in != '\0'; in++) {
		unsigned char c = (unsigned char)*in;
		bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-._~", c) != NULL;
		n += (size_t)snprintf(out + n, 4, plain ? "%c" : "%%%02X", c);
	}
	out[n] = '\0';
}

static void beat(void *arg)
{
	struct lease *l = arg;
	char value[3 * VALUE_MAX];
	l->next = NULL;
	percent_encode(l->last, value);
	AUTO_FREE char *ttl =
	        l->o.ttl_s == 0 ? mem_strdup("") : mem_printf("&desired_ttl_seconds=%llu", (unsigned long long)l->o.ttl_s);
	AUTO_FREE char *path = mem_printf("/v1/environments/%s/work/%s/heartbeat?expected_last_heartbeat=%s%s",
	                                  plane_environment(l->o.plane), l->item, value, ttl);
	const struct plane_request r = {
	        .method = "POST", .path = path, .token = l->token, .timeout_ms = l->interval_ms, .done = answered, .arg = l};
	l->sent_ms = clock_mono_ms();
	l->beat = plane_send(l->o.plane, &r);
	l->cutoff = loop_timer_start(plane_loop(l->o.plane), l->interval_ms, cut_off, l);
}

struct lease *lease_start(const struct lease_opts *opts)
{
	struct lease *l = NEW(struct lease);
	l->o = *opts;
	l->item = mem_strdup(opts->item);
	l->token = opts->token == NULL ? NULL : mem_strdup(opts->token);
	l->ttl_ms = TTL_ASSUMED_MS;
	l->interval_ms = BEAT_MAX_MS;
	l->success_ms = clock_mono_ms();
	snprintf(l->last, sizeof(l->last), FIRST);
	set_deadline(l);
	beat(l);
	return l;
}

void lease_drop(struct lease **lease)
{
	struct lease *l = *lease;
	if (l == NULL)
		return;
	*lease = NULL;
	stop(l);
	free(l->item);
	if (l->token != NULL)
		mem_wipe(l->token, strlen(l->token));
	free(l->token);
	free(l);
}

uint64_t lease_left_ms(const struct lease *l)
{
	uint64_t now = clock_mono_ms(), until = live_until(l);
	return l->over || !l->held || until <= now ? 0 : until - now;
}

bool lease_live(const struct lease *l)
{
	return lease_left_ms(l) > 0;
}

int64_t lease_began_us(const struct lease *l)
{
	return l->began_us;
}

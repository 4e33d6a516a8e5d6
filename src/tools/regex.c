#include "tools/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 16
#include <pcre2.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tools/text.h"

// A match is tried with so many steps at first, and again with twice as many until the time is up: PCRE2 can't be interrupted.
#define FIRST_STEPS 1000000U
#define STEPS_A_MS 10000U // far fewer than any machine does
#define HEAP_KIB (256U * 1024)

struct regex {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *context;
};

struct result regex_new(struct span pattern, struct regex **out, struct err *e)
{
	struct arena a = {0};
	struct arena_units text = {0};
	size_t n;
	uint16_t *units = text_utf16(pattern, &n);
	struct result r = regex_translate(&a, units, n, &text, e);
	free(units);
	if (!r.failed) {
		int error;
		PCRE2_SIZE offset;
		pcre2_compile_context *context = pcre2_compile_context_create(NULL);
		BUG_ON(context == NULL);
		pcre2_set_parens_nest_limit(context, 1000);
		pcre2_code *code = pcre2_compile(text.at, text.len, PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF, &error,
		                                 &offset, context);
		pcre2_compile_context_free(context);
		if (code == NULL) {
			r = err_set(e, ERR_INVALID, "it uses what this search does not support (code %d)", error);
		} else {
			*out = NEW(struct regex);
			(*out)->code = code;
			(*out)->match = pcre2_match_data_create(1, NULL);
			(*out)->context = pcre2_match_context_create(NULL);
			BUG_ON((*out)->match == NULL || (*out)->context == NULL);
			pcre2_set_heap_limit((*out)->context, HEAP_KIB);
		}
	}
	arena_fini(&a);
	return r;
}

void regex_free(struct regex *r)
{
	if (r == NULL)
		return;
	pcre2_match_context_free(r->context);
	pcre2_match_data_free(r->match);
	pcre2_code_free(r->code);
	free(r);
}

enum regex_match regex_test(struct regex *r, const uint16_t *line, size_t len, uint64_t deadline_ms)
{
	for (uint64_t steps = FIRST_STEPS;; steps *= 2) {
		uint64_t now = clock_mono_ms();
		if (now >= deadline_ms)
			return REGEX_TIMED_OUT;
		// The last try must not run far past the deadline.
		uint64_t left = (deadline_ms - now) * STEPS_A_MS;
		uint64_t allowed = steps < left ? steps : left;
		pcre2_set_match_limit(r->context, allowed < UINT32_MAX ? (uint32_t)allowed : UINT32_MAX);
		int found = pcre2_match(r->code, line, len, 0, 0, r->match, r->context);
		if (found >= 0)
			return REGEX_YES;
		if (found == PCRE2_ERROR_NOMATCH)
			return REGEX_NO;
		if (found != PCRE2_ERROR_MATCHLIMIT)
			return REGEX_FAILED;
	}
}

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t now_us(clockid_t id)
{
	struct timespec ts;
	BUG_ON(clock_gettime(id, &ts) != 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
	return (uint64_t)now_us(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t clock_utc_us(void)
{
	return now_us(CLOCK_REALTIME);
}

void clock_format(int64_t utc_us, char out[CLOCK_RFC3339_LEN])
{
	time_t s = (time_t)(utc_us / 1000000);
	int64_t frac = utc_us % 1000000;
	if (frac < 0) {
		frac += 1000000;
		s--;
	}
	struct tm tm;
	BUG_ON(gmtime_r(&s, &tm) == NULL);
	char date[40];
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, CLOCK_RFC3339_LEN, "%.19s.%06dZ", date, (int)frac);
}

// Reads exactly `n` digits at *at and moves past them.
static bool digits(struct span t, size_t *at, size_t n, int *out)
{
	*out = 0;
	if (*at + n > t.len)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = t.data[(*at)++];
		if (c < '0' || c > '9')
			return false;
		*out = *out * 10 + (c - '0');
	}
	return true;
}

static bool one_of(struct span t, size_t *at, const char *chars)
{
	if (*at >= t.len || t.data[*at] == '\0' || strchr(chars, t.data[*at]) == NULL)
		return false;
	(*at)++;
	return true;
}

static bool parse_fraction(struct span t, size_t *at, int *us)
{
	*us = 0;
	if (!one_of(t, at, "."))
		return true;
	int n = 0;
	for (; *at < t.len && t.data[*at] >= '0' && t.data[*at] <= '9'; (*at)++, n++) {
		if (n < 6)
			*us = *us * 10 + (t.data[*at] - '0');
	}
	if (n == 0 || n > 9)
		return false;
	for (; n < 6; n++)
		*us *= 10;
	return true;
}

static bool parse_offset(struct span t, size_t *at, int *minutes)
{
	*minutes = 0;
	if (one_of(t, at, "Zz"))
		return *at == t.len;
	if (*at >= t.len)
		return false;
	int sign = t.data[*at] == '-' ? -1 : 1;
	int h, m;
	if (!one_of(t, at, "+-") || !digits(t, at, 2, &h) || !one_of(t, at, ":") || !digits(t, at, 2, &m))
		return false;
	*minutes = sign * (h * 60 + m);
	return h < 24 && m < 60 && *at == t.len;
}

static int days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

struct result clock_parse(struct span text, int64_t *utc_us, struct err *e)
{
	size_t at = 0;
	int y, mo, d, h, mi, s, us, off;
	bool ok = digits(text, &at, 4, &y) && one_of(text, &at, "-") && digits(text, &at, 2, &mo) && one_of(text, &at, "-") &&
	          digits(text, &at, 2, &d) && one_of(text, &at, "Tt ") && digits(text, &at, 2, &h) && one_of(text, &at, ":") &&
	          digits(text, &at, 2, &mi) && one_of(text, &at, ":") && digits(text, &at, 2, &s) &&
	          parse_fraction(text, &at, &us) && parse_offset(text, &at, &off);
	ok = ok && mo >= 1 && mo <= 12 && d >= 1 && d <= days_in(y, mo) && h < 24 && mi < 60 && s < 61;
	if (!ok)
		return err_set(e, ERR_INVALID, "'%.*s' is not an RFC 3339 time such as 2026-11-24T09:00:00Z",
		               SPAN_FMT(span_head(text, 40)));
	struct tm tm = {.tm_year = y - 1900, .tm_mon = mo - 1, .tm_mday = d, .tm_hour = h, .tm_min = mi, .tm_sec = s};
	*utc_us = ((int64_t)timegm(&tm) - (int64_t)off * 60) * 1000000 + us;
	return OK;
}

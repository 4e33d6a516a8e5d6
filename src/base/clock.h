// Time: monotonic for intervals, UTC for what people and protocols read.
#ifndef SALLYPORT_BASE_CLOCK_H
#define SALLYPORT_BASE_CLOCK_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

uint64_t clock_mono_us(void); // CLOCK_MONOTONIC, microseconds
uint64_t clock_mono_ms(void);
int64_t clock_utc_us(void); // CLOCK_REALTIME since the epoch, microseconds

#define CLOCK_RFC3339_LEN 28 // "2026-11-24T09:00:00.123456Z" and its NUL

// RFC 3339 in UTC with exactly six digits of fraction.
void clock_format(int64_t utc_us, char out[CLOCK_RFC3339_LEN]);

// RFC 3339 with any offset and up to nine digits of fraction (beyond six truncated). ERR_INVALID otherwise.
MUST_USE struct result clock_parse(struct span text, int64_t *utc_us, struct err *e);

#endif

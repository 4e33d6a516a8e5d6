#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/mem.h"

void random_bytes(void *out, size_t n)
{
	char *at = out;
	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		BUG_ON(got <= 0);
		at += got;
		n -= (size_t)got;
	}
}

uint64_t random_u64(void)
{
	uint64_t v;
	random_bytes(&v, sizeof(v));
	return v;
}

uint64_t random_below(uint64_t bound)
{
	BUG_ON(bound == 0);
	uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
	uint64_t v;
	do
		v = random_u64();
	while (v >= limit);
	return v % bound;
}

// Milliseconds and random bits. When the millisecond is not later than the last one's, the last value plus a random step: so
// those made by one thread sort in their order, also when the clock is set back, and the next one can't be guessed.
static void id_bits(unsigned char raw[16])
{
	static _Thread_local unsigned char last[16];
	uint64_t ms = (uint64_t)clock_utc_us() / 1000;
	for (int i = 0; i < 6; i++)
		raw[i] = (unsigned char)(ms >> (40 - 8 * i));
	random_bytes(raw + 6, 10);
	if (memcmp(raw, last, 6) <= 0) {
		uint64_t carry = 1 + random_below((uint64_t)1 << 40);
		for (int i = 15; i >= 0; i--) {
			carry += last[i];
			raw[i] = (unsigned char)carry;
			carry >>= 8;
		}
	}
	memcpy(last, raw, sizeof(last));
}

void id_make(char out[ID_MAX], const char *prefix)
{
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	unsigned char raw[16];
	char text[27];
	id_bits(raw);
	// 130 bits in 26 digits: two zero bits, then the 128.
	for (int i = 0; i < 26; i++) {
		unsigned v = 0;
		for (int b = 0; b < 5; b++) {
			int bit = i * 5 + b - 2;
			v = v << 1 | (bit < 0 ? 0U : (raw[bit / 8] >> (7 - bit % 8)) & 1U);
		}
		text[i] = alphabet[v];
	}
	text[26] = '\0';
	BUG_ON(strlen(prefix) > 16);
	snprintf(out, ID_MAX, "%s_%s", prefix, text);
}

void secret_make(char out[SECRET_MAX], const char *prefix)
{
	unsigned char raw[32];
	random_bytes(raw, sizeof(raw));
	char text[ENCODE_BASE64_LEN(sizeof(raw))];
	encode_base64url(raw, sizeof(raw), text);
	BUG_ON(strlen(prefix) > 24);
	snprintf(out, SECRET_MAX, "%s-%s", prefix, text);
	mem_wipe(raw, sizeof(raw));
	mem_wipe(text, sizeof(text));
}

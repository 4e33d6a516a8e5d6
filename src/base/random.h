// Randomness from the kernel, and the identifiers and secrets made of it.
#ifndef SALLYPORT_BASE_RANDOM_H
#define SALLYPORT_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t n); // getrandom(2); never fails after boot
uint64_t random_u64(void);
uint64_t random_below(uint64_t bound); // uniform in [0, bound), bound > 0

#define ID_MAX 48 // room for every identifier with its NUL

// "<prefix>_<26 characters>": 48 bits of milliseconds and 80 random bits in Crockford's base 32, so that identifiers made
// later sort later (by one thread always, by others from the next millisecond on). `prefix` is at most 16 characters.
void id_make(char out[ID_MAX], const char *prefix);

#define SECRET_MAX 80

// "<prefix>-<43 characters>": 256 random bits in base64url. The prefix is not secret; it tells scanners what leaked.
void secret_make(char out[SECRET_MAX], const char *prefix);

#endif

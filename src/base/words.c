#include "base/words.h"

#include "base/mem.h"

#define WORD_MAX 64

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

// Edits between two words: insert, delete, replace, or swap two neighbours (optimal string alignment).
static size_t distance(struct span a, struct span b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *prev = rows[1], *now = rows[2];
	for (size_t j = 0; j <= b.len; j++)
		prev[j] = before[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		now[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t cost = a.data[i - 1] != b.data[j - 1];
			now[j] = smaller(smaller(prev[j] + 1, now[j - 1] + 1), prev[j - 1] + cost);
			if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
				now[j] = smaller(now[j], before[j - 2] + 1);
		}
		size_t *spare = before;
		before = prev;
		prev = now;
		now = spare;
	}
	return prev[b.len];
}

const char *words_nearest(struct span word, const char *const *known)
{
	const char *best = NULL;
	size_t limit = word.len / 3 < 1 ? 1 : word.len / 3;
	size_t least = limit + 1;
	if (word.len > WORD_MAX)
		return NULL;
	for (; *known != NULL; known++) {
		struct span k = span_of(*known);
		if (k.len > WORD_MAX)
			continue;
		size_t d = distance(word, k);
		if (d < least) {
			least = d;
			best = *known;
		}
	}
	return best;
}

char *words_joined(const char *const *words, const char *between)
{
	char *all = mem_strdup("");
	for (const char *const *w = words; *w != NULL; w++) {
		char *more = mem_printf("%s%s%s", all, w == words ? "" : between, *w);
		free(all);
		all = more;
	}
	return all;
}

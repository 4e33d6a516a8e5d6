// Signed notes, checkpoints and verifier keys. The input's first line is taken as a key as well.
#include <stdint.h>

#include "audit/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_from((const char *)data, size), line, rest;
	struct note_verifier v;
	struct checkpoint c;
	struct span text;
	char again[NOTE_VKEY_MAX];
	span_cut(input, '\n', &line, &rest);
	if (!failed(note_vkey_parse(line, &v, NULL))) {
		struct note_verifier w;
		note_vkey_format(&v, again);
		BUG_ON(failed(note_vkey_parse(span_of(again), &w, NULL)) || memcmp(v.key, w.key, sizeof(v.key)) != 0);
		if (!failed(note_open(rest, &v, &text, NULL)))
			BUG_ON(text.len == 0 || text.data[text.len - 1] != '\n');
	}
	BUG_ON(failed(note_vkey_parse(SPAN_LIT("perimeter.example/audit+678d6714+AXm1Vi6P5lT5QHixEuipi6eQH4U65pW+1+DjkQutBJZk"),
	                              &v, NULL)));
	if (!failed(checkpoint_open(input, &v, &c, NULL)))
		BUG_ON(c.size > INT64_MAX);
	return 0;
}

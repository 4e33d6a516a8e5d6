// edit: replace a string in a file. It is sought in the text as read shows it (ill-formed bytes as U+FFFD), but only what is
// replaced changes on disk: the official toolset writes the decoded text back and so damages every ill-formed byte of the file.
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "tools/file_tools.h"
#include "tools/js.h"
#include "tools/path.h"
#include "tools/text.h"
#include "tools/tools.h"

// A file's text, and where each byte of it stands in the file; `at` is NULL when they are the same.
struct decoded {
	struct buf text;
	uint32_t *at; // one more than bytes in `text`
};

static void decode(struct span file, struct decoded *d)
{
	buf_init(&d->text, 3 * (size_t)FILE_TOOLS_MAX_BYTES + 3);
	d->at = NULL;
	if (span_is_utf8(file)) {
		BUG_ON(!buf_add(&d->text, file));
		return;
	}
	d->at = mem_alloc((3 * file.len + 1) * sizeof(*d->at));
	size_t at = 0;
	while (at < file.len) {
		size_t n, len;
		char bytes[4];
		text_put(text_next(span_skip(file, at), &n), bytes, &len);
		for (size_t i = 0; i < len; i++)
			d->at[buf_len(&d->text) + i] = (uint32_t)at;
		BUG_ON(!buf_add(&d->text, span_from(bytes, len)));
		at += n;
	}
	d->at[buf_len(&d->text)] = (uint32_t)file.len;
}

static const char *find(struct span text, struct span what)
{
	return text.len == 0 ? NULL : memmem(text.data, text.len, what.data, what.len);
}

static size_t count_matches(struct span text, struct span what)
{
	size_t count = 0;
	for (const char *hit; (hit = find(text, what)) != NULL; count++)
		text = span_skip(text, (size_t)(hit - text.data) + what.len);
	return count;
}

// Writes the file with every match replaced into `out`.
static bool replace(struct span file, struct decoded *d, struct span old, struct span new, struct buf *out)
{
	struct span text = buf_span(&d->text);
	size_t done = 0; // bytes of the file that are written
	struct span rest = text;
	for (const char *hit; (hit = find(rest, old)) != NULL;) {
		size_t from = (size_t)(hit - text.data), to = from + old.len;
		size_t file_from = d->at == NULL ? from : d->at[from], file_to = d->at == NULL ? to : d->at[to];
		if (!buf_add(out, span_from(file.data + done, file_from - done)) || !buf_add(out, new))
			return false;
		done = file_to;
		rest = span_skip(text, to);
	}
	return buf_add(out, span_skip(file, done));
}

struct edit {
	const char *given;
	struct buf old, new;
	bool all;
};

static void apply(const char *abs, struct span file, struct edit *e, struct answer *a)
{
	struct decoded d;
	decode(file, &d);
	size_t count = count_matches(buf_span(&d.text), buf_span(&e->old));
	AUTO_BUF struct buf out;
	buf_init(&out, (size_t)512 << 20);
	if (count == 0) {
		answer_error(a, "edit: old_string not found in %s", e->given);
	} else if (count > 1 && !e->all) {
		answer_error(a, "edit: old_string appears %zu times in %s (must be unique)", count, e->given);
	} else if (!replace(file, &d, buf_span(&e->old), buf_span(&e->new), &out)) {
		path_answer(a, "edit: write", e->given, EFBIG);
	} else {
		int error = file_tools_replace(abs, buf_span(&out));
		if (error != 0) {
			path_answer(a, "edit: write", e->given, error);
		} else {
			answer_error(a, "edited %s (%zu replacement(s))", e->given, count);
			a->is_error = false;
		}
	}
	buf_fini(&d.text);
	free(d.at);
}

static void edit_file(const char *abs, struct edit *e, struct answer *a)
{
	off_t size = 0;
	AUTO_FD int fd = file_tools_open(abs, "edit", e->given, &size, a);
	if (fd < 0)
		return;
	AUTO_BUF struct buf content;
	buf_init(&content, FILE_TOOLS_MAX_BYTES + 1);
	int error = size > FILE_TOOLS_MAX_BYTES ? 0 : file_tools_read(fd, FILE_TOOLS_MAX_BYTES + 1, &content);
	if (error != 0)
		return path_answer(a, "edit", e->given, error);
	if (buf_len(&content) > FILE_TOOLS_MAX_BYTES)
		size = FILE_TOOLS_MAX_BYTES + 1; // it grew after its size was taken
	if (size > FILE_TOOLS_MAX_BYTES)
		return answer_error(a,
		                    "edit: %s is %lld bytes, exceeds %d-byte limit. "
		                    "The edit tool loads the whole file and cannot modify a file this large.",
		                    e->given, (long long)size, FILE_TOOLS_MAX_BYTES);
	apply(abs, buf_span(&content), e, a);
}

void edit_tool(const json_t *input, const char *workdir, struct answer *a)
{
	const json_t *path = json_object_get(input, "file_path");
	const json_t *old = json_object_get(input, "old_string"), *new = json_object_get(input, "new_string");
	if (!js_truthy(path))
		return answer_error(a, "edit: file_path is required");
	if (!js_truthy(old))
		return answer_error(a, "edit: old_string is required");
	AUTO_FREE char *abs = path_confine(path, workdir, a);
	if (abs == NULL)
		return;
	if (new == NULL || json_is_null(new))
		return answer_error(a, "edit: new_string is required");
	struct edit e = {.given = json_string_value(path), .all = js_truthy(json_object_get(input, "replace_all"))};
	buf_init(&e.old, 2 * TOOLS_INPUT_MAX);
	buf_init(&e.new, 2 * TOOLS_INPUT_MAX);
	js_string(old, &e.old);
	js_string(new, &e.new);
	if (buf_len(&e.old) > 0)
		edit_file(abs, &e, a);
	else // an array without elements: JavaScript takes it for true, and it stands everywhere
		answer_error(a, "edit: old_string is required");
	buf_fini(&e.old);
	buf_fini(&e.new);
}

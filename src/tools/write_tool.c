// write: a file's whole content.
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "tools/file_tools.h"
#include "tools/js.h"
#include "tools/path.h"

void write_tool(const json_t *input, const char *workdir, struct answer *a)
{
	const json_t *path = json_object_get(input, "file_path");
	const json_t *content = json_object_get(input, "content");
	if (!js_truthy(path))
		return answer_error(a, "write: file_path is required");
	AUTO_FREE char *abs = path_confine(path, workdir, a);
	if (abs == NULL)
		return;
	const char *given = json_string_value(path);
	AUTO_FREE char *parent = path_resolve(abs, "..");
	AUTO_FD int dir = path_make_dirs(parent);
	if (dir < 0)
		return path_answer(a, "write", given, errno);
	if (content != NULL && !json_is_null(content) && !json_is_string(content))
		return path_answer(a, "write", given, PATH_BAD_TYPE);
	struct span bytes =
	        json_is_string(content) ? span_from(json_string_value(content), json_string_length(content)) : (struct span){0};
	int error = file_tools_replace(abs, bytes);
	if (error != 0)
		return path_answer(a, "write", given, error);
	AUTO_BUF struct buf text;
	buf_init(&text, a->text.max);
	BUG_ON(!buf_printf(&text, "wrote %zu bytes to %s", bytes.len, given));
	answer_text(a, buf_span(&text));
}

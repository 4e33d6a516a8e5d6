// grep: lines that match a regular expression.
#include <string.h>

#include "base/mem.h"
#include "tools/file_tools.h"
#include "tools/grep.h"
#include "tools/js.h"
#include "tools/path.h"
#include "tools/tools.h"

// What Node's util.inspect makes of a string with NULs in it, which it refuses to start a program with.
static void nul_in_argument(struct span pattern, struct answer *a)
{
	answer_error(a, "Error: The argument 'args[4]' must be a string without null bytes. Received '");
	for (size_t i = 0; i < pattern.len; i++) {
		unsigned char c = (unsigned char)pattern.data[i];
		if (c < 0x20)
			BUG_ON(!buf_printf(&a->text, "\\x%02X", c));
		else
			BUG_ON(!buf_add(&a->text, span_from(pattern.data + i, 1)));
	}
	BUG_ON(!buf_add_str(&a->text, "'"));
}

void grep_tool(const json_t *input, const char *workdir, struct answer *a)
{
	const json_t *pattern = json_object_get(input, "pattern");
	const json_t *path = json_object_get(input, "path");
	if (!js_truthy(pattern))
		return answer_error(a, "grep: pattern is required");
	AUTO_FREE char *root = js_truthy(path) ? path_confine(path, workdir, a) : path_resolve("/", workdir);
	if (root == NULL)
		return;
	// A path that was given is canonical by now, and must not be resolved a second time: it may have become a link.
	AUTO_FREE char *real = NULL;
	int error = js_truthy(path) ? 0 : path_canonical(root, &real);
	if (error != 0)
		return path_answer(a, "grep", ".", error);
	AUTO_BUF struct buf text;
	buf_init(&text, 2 * TOOLS_INPUT_MAX);
	js_string(pattern, &text);
	AUTO_FREE char *rg = grep_rg_find(workdir);
	if (rg == NULL)
		grep_walk(buf_span(&text), real == NULL ? root : real, root, GREP_TIMEOUT_MS, a);
	else if (memchr(text.mem, '\0', buf_len(&text)) != NULL)
		nul_in_argument(buf_span(&text), a);
	else
		grep_rg(rg, buf_span(&text), root, a);
}

#include "tools/file_tools.h"
void grep_tool(const json_t *input, const char *workdir, struct answer *a)
{
	(void)input;
	(void)workdir;
	answer_error(a, "grep: not yet");
}

#include "tools/file_tools.h"
void glob_tool(const json_t *input, const char *workdir, struct answer *a)
{
	(void)input;
	(void)workdir;
	answer_error(a, "glob: not yet");
}

#include "cli/ready.h"

#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

struct result ready_tell(const struct cli_args *a, const char *role, const char *address, struct err *e)
{
	const char *value = cli_value(a, "ready-fd");
	uint64_t n;
	if (value == NULL)
		return OK;
	if (failed(span_to_u64(span_of(value), 1 << 20, "--ready-fd", &n, e))) {
		e->kind = ERR_MISUSED;
		return FAIL;
	}
	json_t *AUTO_JSON j = json_pack("{s:s, s:i, s:s*}", "role", role, "pid", (int)getpid(), "address", address);
	char *AUTO_FREE text = json_text(j, NULL);
	char *AUTO_FREE line = mem_printf("%s\n", text);
	int fd = (int)n;
	if (failed(fd_write_all(fd, line, strlen(line), e))) {
		e->kind = ERR_MISUSED;
		return err_prefix(e, "--ready-fd %d", fd);
	}
	fd_close(&fd);
	return OK;
}

#include "sandbox/procfs.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"

size_t procfs_read(const char *path, char *out, size_t cap)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

bool procfs_word(struct span *rest, struct span *word)
{
	size_t begin = 0, end;
	while (begin < rest->len && strchr(" \t\n", rest->data[begin]) != NULL)
		begin++;
	for (end = begin; end < rest->len && strchr(" \t\n", rest->data[end]) == NULL;)
		end++;
	*word = span_from(rest->data + begin, end - begin);
	*rest = span_skip(*rest, end);
	return word->len > 0;
}

bool procfs_number(struct span *rest, uint64_t *out)
{
	struct span word;
	return procfs_word(rest, &word) && !failed(span_to_u64(word, UINT64_MAX, "number", out, NULL));
}

uint64_t procfs_read_number(const char *path, uint64_t absent)
{
	char text[64];
	struct span rest = {text, procfs_read(path, text, sizeof(text))};
	uint64_t n;
	return procfs_number(&rest, &n) ? n : absent;
}

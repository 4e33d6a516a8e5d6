// Runs a fuzz target over the files of its corpus, where libFuzzer is not linked: so every corpus is a normal test too.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (8u << 20)

static void replay(const char *path)
{
	AUTO_BUF struct buf input;
	struct err e;

	buf_init(&input, INPUT_MAX);
	if (failed(file_read(path, &input, &e))) {
		fprintf(stderr, "%s\n", e.msg);
		exit(1);
	}
	// Exactly as long as the input, so that reading past its end is seen.
	uint8_t *copy = mem_alloc(buf_len(&input) + (buf_len(&input) == 0));
	if (buf_len(&input) > 0)
		memcpy(copy, buf_span(&input).data, buf_len(&input));
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(copy, buf_len(&input));
	free(copy);
}

int main(int argc, char **argv)
{
	DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	size_t n = 0;

	if (d == NULL) {
		fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(d)) != NULL) {
		AUTO_FREE char *path = mem_printf("%s/%s", argv[1], entry->d_name);
		struct stat st;
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
			replay(path);
			n++;
		}
	}
	closedir(d);
	// Also the input that no corpus needs to hold.
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	printf("%zu inputs\n", n + 1);
	return 0;
}

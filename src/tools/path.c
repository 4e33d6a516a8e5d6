#include "tools/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tools/js.h"
#include "tools/tools.h"

#define LINKS_MAX 40

// Appends the components of `p` to the normalised `out` of length `len`, which never ends in a slash; returns the new length.
// Above the root ".." is dropped, in a relative path it is kept.
static size_t add_components(char *out, size_t len, const char *p, bool absolute)
{
	while (*p != '\0') {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			const char *last = len == 0 ? NULL : memrchr(out, '/', len);
			size_t start = last == NULL ? 0 : (size_t)(last - out) + 1;
			bool dots = len - start == 2 && memcmp(out + start, "..", 2) == 0;
			if (len > 0 && !dots) {
				len = start > 0 ? start - 1 : 0;
				n = 0;
			} else if (absolute) {
				n = 0;
			}
		}
		if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (len > 0 || absolute)
				out[len++] = '/';
			memmove(out + len, p, n);
			len += n;
		}
		p += strcspn(p, "/");
		p += *p == '/';
	}
	return len;
}

char *path_resolve(const char *root, const char *p)
{
	char *out = mem_alloc(strlen(root) + strlen(p) + 3);
	size_t len = p[0] == '/' ? 0 : add_components(out, 0, root, true);
	len = add_components(out, len, p, true);
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return out;
}

char *path_join(const char *a, const char *b)
{
	AUTO_FREE char *both = a[0] == '\0' ? mem_strdup(b) : b[0] == '\0' ? mem_strdup(a) : mem_printf("%s/%s", a, b);
	size_t n = strlen(both);
	bool absolute = both[0] == '/', trailing = n > 0 && both[n - 1] == '/';
	char *out = mem_alloc(n + 3);
	size_t len = add_components(out, 0, both, absolute);
	if (len == 0)
		out[len++] = absolute ? '/' : '.';
	if (trailing && out[len - 1] != '/')
		out[len++] = '/';
	out[len] = '\0';
	return out;
}

bool path_is_within(const char *root, const char *p)
{
	size_t n = strlen(root);
	if (n == 1) // "/"
		return true;
	return strncmp(root, p, n) == 0 && (p[n] == '\0' || p[n] == '/');
}

static bool is_link(const char *p, int *error)
{
	struct stat st;
	*error = lstat(p, &st) < 0 ? errno : 0;
	return *error == 0 && S_ISLNK(st.st_mode);
}

// What the link `prefix` points to, followed by `tail`, resolved from where it really is.
static int follow_link(const char *prefix, const char *tail, char **out)
{
	AUTO_FREE char *dir = path_resolve("/", prefix);
	char *slash = strrchr(dir, '/');
	slash[slash == dir ? 1 : 0] = '\0';
	AUTO_FREE char *parent = realpath(dir, NULL);
	if (parent == NULL)
		return errno;
	char target[PATH_MAX];
	ssize_t n = readlink(prefix, target, sizeof(target) - 1);
	if (n < 0)
		return errno;
	target[n] = '\0';
	AUTO_FREE char *with_tail = mem_printf("%s/%s", target, tail);
	*out = path_resolve(parent, with_tail);
	return 0;
}

int path_canonical(const char *abs, char **out)
{
	AUTO_FREE char *prefix = mem_strdup(abs);
	AUTO_FREE char *tail = mem_strdup("");
	for (int hops = 0;;) {
		AUTO_FREE char *real = realpath(prefix, NULL);
		if (real != NULL) {
			*out = path_join(real, tail);
			return 0;
		}
		int why = errno, error;
		if (is_link(prefix, &error)) {
			if (++hops > LINKS_MAX)
				return ELOOP;
			char *next;
			int failed = follow_link(prefix, tail, &next);
			if (failed != 0)
				return failed;
			free(prefix);
			prefix = next;
			tail[0] = '\0';
			continue;
		}
		if (error == 0)
			return why;
		char *slash = strrchr(prefix, '/');
		if ((error != ENOENT && error != ENOTDIR) || strcmp(prefix, "/") == 0)
			return error;
		char *longer = mem_printf("%s%s%s", slash + 1, tail[0] == '\0' ? "" : "/", tail);
		free(tail);
		tail = longer;
		slash[slash == prefix ? 1 : 0] = '\0';
	}
}

// Every error about the path names it quoted, as the model gave it: the host's own path never shows.
static int confine(const json_t *p, const char *workdir, char **real, bool *outside)
{
	AUTO_FREE char *root = NULL;
	AUTO_FREE char *top = path_resolve("/", workdir);
	int error = path_canonical(top, &root);
	if (error != 0)
		return error;
	if (!json_is_string(p))
		return PATH_BAD_TYPE;
	if (strlen(json_string_value(p)) != json_string_length(p))
		return PATH_BAD_VALUE;
	AUTO_FREE char *abs = path_resolve(root, json_string_value(p));
	error = path_canonical(abs, real);
	if (error != 0)
		return error;
	*outside = !path_is_within(root, *real);
	return 0;
}

char *path_confine(const json_t *p, const char *workdir, struct answer *a)
{
	AUTO_FREE char *real = NULL;
	bool outside = false;
	int error = confine(p, workdir, &real, &outside);
	if (error == 0 && !outside)
		return STEAL(real);
	AUTO_BUF struct buf quoted;
	buf_init(&quoted, 8 * TOOLS_INPUT_MAX);
	js_quote(p, &quoted);
	answer_error(a, "path %s", buf_str(&quoted));
	if (error != 0)
		path_error(&a->text, "", error);
	else
		BUG_ON(!buf_add_str(&a->text, " is outside the session's working directory"));
	return NULL;
}

static int step(int dir, struct span component, bool make, bool last)
{
	char name[NAME_MAX + 1];
	if (component.len > NAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name, component.data, component.len);
	name[component.len] = '\0';
	int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make) {
		if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
			return -1;
		fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 && errno == ENOTDIR && make && last)
		errno = EEXIST;
	return fd;
}

static int walk(struct span rest, bool make)
{
	int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0 && rest.len > 0) {
		struct span component;
		span_cut(rest, '/', &component, &rest);
		if (component.len == 0)
			continue;
		int next = step(dir, component, make, rest.len == 0);
		int saved = errno;
		close(dir);
		errno = saved;
		dir = next;
	}
	return dir;
}

int path_open_dir(const char *abs)
{
	return walk(span_of(abs), false);
}

int path_make_dirs(const char *abs)
{
	return walk(span_of(abs), true);
}

int path_open_parent(const char *abs, const char **leaf)
{
	const char *slash = strrchr(abs, '/');
	*leaf = slash[1] == '\0' ? "." : slash + 1;
	return walk(span_from(abs, (size_t)(slash - abs)), false);
}

void path_error(struct buf *out, const char *file, int error)
{
	static const struct {
		int error;
		const char *text;
	} phrases[] = {
	        {ENOENT, "no such file or directory"},
	        {EACCES, "permission denied"},
	        {EPERM, "permission denied"},
	        {ENOTDIR, "not a directory"},
	        {EISDIR, "is a directory"},
	        {ELOOP, "too many levels of symbolic links"},
	        {ENAMETOOLONG, "file name too long"},
	        {ENOSPC, "no space left on device"},
	        {EMFILE, "too many open files"},
	        {ENFILE, "too many open files"},
	};
	for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
		if (phrases[i].error == error) {
			BUG_ON(!buf_printf(out, "%s: %s", file, phrases[i].text));
			return;
		}
	}
	const char *name = error == PATH_BAD_TYPE    ? "ERR_INVALID_ARG_TYPE"
	                   : error == PATH_BAD_VALUE ? "ERR_INVALID_ARG_VALUE"
	                                             : strerrorname_np(error);
	BUG_ON(!buf_printf(out, "%s: i/o error (%s)", file, name == NULL ? "UNKNOWN" : name));
}

void path_answer(struct answer *a, const char *tool, const char *file, int error)
{
	answer_error(a, "%s: ", tool);
	path_error(&a->text, file, error);
}

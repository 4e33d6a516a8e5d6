// The built-in search: every regular file below a directory, in the order of names, line by line. Links are never followed;
// each directory is opened from the one above it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tools/grep.h"
#include "tools/path.h"
#include "tools/regex.h"
#include "tools/text.h"

#define DEPTH_MAX 40
#define ENTRIES_MAX 50000
#define LINE_UNITS 2000
#define PIECE 65536 // a file with a NUL counts up to the end of the piece that holds it

enum go { GO_ON, STOP_FILE, STOP_ALL };

struct search {
	struct regex *regex;
	uint64_t deadline_ms;
	struct answer *answer;
	size_t hits;
	long budget; // code units of output that are left
	size_t remaining;
	bool timed_out;
};

struct file {
	struct search *search;
	const char *path;
	size_t number;   // of the line
	struct buf line; // the unfinished one, or its first bytes when it is too long to count
	bool too_long;
	bool after_return; // "\r" was the last byte: a "\n" that follows belongs to it
};

static enum go hit(struct file *f, struct span line)
{
	struct search *s = f->search;
	AUTO_BUF struct buf text;
	buf_init(&text, 4 * (size_t)PIECE);
	BUG_ON(!buf_printf(&text, "%s:%zu:", f->path, f->number) || !text_decode(line, &text));
	if (s->hits++ > 0)
		BUG_ON(!buf_add_str(&s->answer->text, "\n"));
	s->budget -= (long)text_units(buf_span(&text)) + 1;
	if (s->budget < 0) {
		BUG_ON(!buf_printf(&s->answer->text, "[output truncated at %d bytes]", GREP_OUTPUT_UNITS));
		return STOP_ALL;
	}
	BUG_ON(!buf_add(&s->answer->text, buf_span(&text)));
	return GO_ON;
}

static enum go end_line(struct file *f)
{
	enum go go = GO_ON;
	size_t n;
	f->number++;
	if (!f->too_long && text_units(buf_span(&f->line)) <= LINE_UNITS) {
		uint16_t *units = text_utf16(buf_span(&f->line), &n);
		enum regex_match m = regex_test(f->search->regex, units, n, f->search->deadline_ms);
		free(units);
		f->search->timed_out |= m == REGEX_TIMED_OUT;
		if (m == REGEX_YES)
			go = hit(f, buf_span(&f->line));
		else if (m != REGEX_NO)
			go = m == REGEX_FAILED ? STOP_FILE : STOP_ALL;
	}
	buf_clear(&f->line);
	f->too_long = false;
	return go;
}

// Lines end at "\n", "\r\n" or a lone "\r".
static enum go take_piece(struct file *f, struct span piece)
{
	while (piece.len > 0) {
		if (f->after_return && piece.data[0] == '\n')
			piece = span_skip(piece, 1);
		f->after_return = false;
		size_t n = 0;
		while (n < piece.len && piece.data[n] != '\n' && piece.data[n] != '\r')
			n++;
		if (!buf_add(&f->line, span_head(piece, n)))
			f->too_long = true;
		if (n == piece.len)
			break;
		f->after_return = piece.data[n] == '\r';
		enum go go = end_line(f);
		if (go != GO_ON)
			return go;
		piece = span_skip(piece, n + 1);
	}
	return GO_ON;
}

static enum go read_lines(struct file *f, int fd)
{
	AUTO_FREE char *piece = mem_alloc(PIECE);
	for (;;) {
		ssize_t n = read(fd, piece, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return GO_ON;
		if (n == 0)
			return buf_len(&f->line) > 0 || f->too_long ? end_line(f) : GO_ON;
		enum go go = take_piece(f, span_from(piece, (size_t)n));
		if (go != GO_ON || memchr(piece, '\0', (size_t)n) != NULL)
			return go;
		if (clock_mono_ms() >= f->search->deadline_ms) {
			f->search->timed_out = true;
			return STOP_ALL;
		}
	}
}

static enum go search_file(struct search *s, int dir, const char *name, const char *path)
{
	struct stat st;
	AUTO_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return GO_ON;
	struct file f = {.search = s, .path = path};
	buf_init(&f.line, 3 * LINE_UNITS + 3); // more bytes are always more code units than count
	enum go go = read_lines(&f, fd);
	buf_fini(&f.line);
	return go == STOP_FILE ? GO_ON : go;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

// The names in a directory, sorted; takes `fd`. Those that are no UTF-8 can't be named in an answer.
static size_t list(int fd, char ***names)
{
	size_t count = 0, cap = 0;
	*names = NULL;
	DIR *dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return 0;
	}
	for (const struct dirent *d; (d = readdir(dir)) != NULL;) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (count == cap) {
			cap = cap == 0 ? 64 : 2 * cap;
			*names = mem_grow(*names, cap, sizeof(**names));
		}
		(*names)[count++] = mem_strdup(d->d_name);
	}
	closedir(dir);
	if (count > 0)
		qsort(*names, count, sizeof(**names), by_name);
	return count;
}

static enum go search_directory(struct search *s, int fd, const char *path, unsigned depth);

static enum go search_entry(struct search *s, int dir, const char *name, const char *path, unsigned depth)
{
	struct stat st;
	if (strcmp(name, ".git") == 0 || strcmp(name, "node_modules") == 0)
		return GO_ON;
	if (s->remaining == 0)
		return STOP_ALL;
	s->remaining--;
	if (!span_is_utf8(span_of(name)) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return GO_ON;
	AUTO_FREE char *full = path_join(path, name);
	if (S_ISREG(st.st_mode))
		return search_file(s, dir, name, full);
	if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
		return GO_ON;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? GO_ON : search_directory(s, fd, full, depth + 1);
}

// Takes `fd`.
static enum go search_directory(struct search *s, int fd, const char *path, unsigned depth)
{
	char **names;
	AUTO_FD int dir = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	size_t count = list(fd, &names);
	enum go go = GO_ON;
	for (size_t i = 0; i < count; i++) {
		if (clock_mono_ms() >= s->deadline_ms) {
			s->timed_out = true;
			go = STOP_ALL;
		}
		if (go == GO_ON && dir >= 0)
			go = search_entry(s, dir, names[i], path, depth);
		free(names[i]);
	}
	free(names);
	return go;
}

static void search_root(struct search *s, const char *real, const char *path)
{
	const char *leaf;
	struct stat st;
	AUTO_FD int parent = path_open_parent(real, &leaf);
	if (parent < 0 || fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISREG(st.st_mode)) {
		search_file(s, parent, leaf, path);
		return;
	}
	int fd = openat(parent, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		search_directory(s, fd, path, 0);
}

static void conclude(struct search *s, uint64_t timeout_ms)
{
	if (s->timed_out && s->hits == 0)
		answer_error(s->answer, "grep: timed out after %llus", (unsigned long long)(timeout_ms / 1000));
	else if (s->timed_out)
		BUG_ON(!buf_printf(&s->answer->text, "\n[the search was cut short after %llu ms]",
		                   (unsigned long long)timeout_ms));
	else if (s->hits == 0)
		answer_text(s->answer, SPAN_LIT("no matches"));
}

void grep_walk(struct span pattern, const char *real, const char *path, uint64_t timeout_ms, struct answer *a)
{
	struct err e;
	struct search s = {.answer = a, .budget = GREP_OUTPUT_UNITS, .remaining = ENTRIES_MAX};
	if (failed(regex_new(pattern, &s.regex, &e))) {
		answer_error(a, "grep: invalid regex: Invalid regular expression: /");
		BUG_ON(!buf_add(&a->text, pattern) || !buf_printf(&a->text, "/: %s", e.msg));
		return;
	}
	s.deadline_ms = clock_mono_ms() + timeout_ms;
	answer_text(a, (struct span){0});
	search_root(&s, real, path);
	conclude(&s, timeout_ms);
	regex_free(s.regex);
}

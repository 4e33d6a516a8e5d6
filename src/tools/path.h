// Paths as the file tools treat them: collapsed lexically, every symbolic link resolved, then required to lie in the working
// directory; and opened again component by component without following any link, so that whoever swaps a directory for a link
// in between gets an error instead of a way out.
#ifndef SALLYPORT_TOOLS_PATH_H
#define SALLYPORT_TOOLS_PATH_H

#include <jansson.h>

#include "base/err.h"
#include "tools/answer.h"

// Beside errno values: what Node answers for a path that is no string, or one with a NUL in it.
#define PATH_BAD_TYPE (-1)
#define PATH_BAD_VALUE (-2)

// New strings, which the caller frees. `resolve` gives an absolute path without "." or ".." or trailing slash, relative ones
// being taken from `root`; `join` puts a slash between and normalises, keeping a trailing slash and leading ".."s.
char *path_resolve(const char *root, const char *p);
char *path_join(const char *a, const char *b);

bool path_is_within(const char *root, const char *p); // both resolved

// Resolves every symbolic link of the absolute path, also one that dangles, up to 40; what does not exist yet is kept as it is.
// Returns 0 and a new string, or an errno.
int path_canonical(const char *abs, char **out);

// The file or directory that the input's `p` names, canonical and within the working directory: a new string. NULL when it is
// refused; the answer then says so.
char *path_confine(const json_t *p, const char *workdir, struct answer *a);

// Opens the directory (O_PATH) of a canonical path, or the directory that holds its last component (*leaf points into `abs`).
// -1 and errno on failure.
int path_open_dir(const char *abs);
int path_open_parent(const char *abs, const char **leaf);

// As path_open_dir, but makes what is missing (mode 0700). A component that is no directory is EEXIST when it is the last one.
int path_make_dirs(const char *abs);

// Appends "FILE: no such file or directory" and the like for an errno or one of the values above.
void path_error(struct buf *out, const char *file, int error);

// Makes the answer the error "TOOL: FILE: …".
void path_answer(struct answer *a, const char *tool, const char *file, int error);

#endif

// Errors: a result that can't be ignored or mixed with a count, and one place that says what went wrong.
//
// A function that can fail returns `struct result` and takes a `struct err *` last. On failure it fills the error once,
// with a message that says what was wrong, where, and what to do; the layer that handles the failure prints it.
// A condition that only a bug can bring about is a BUG_ON: it aborts, in release builds too.
#ifndef SALLYPORT_BASE_ERR_H
#define SALLYPORT_BASE_ERR_H

#include <stdbool.h>

struct result {
	bool failed;
};

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define OK ((struct result){false})
#define FAIL ((struct result){true})

static inline MUST_USE bool failed(struct result r)
{
	return r.failed;
}

// Passes a failure on to the caller. Only in functions that return struct result.
#define TRY(expr)                    \
	do {                         \
		if (failed(expr))    \
			return FAIL; \
	} while (0)

// What kind of failure, as far as callers act differently: exit codes and HTTP statuses are derived from it.
enum err_kind {
	ERR_NONE,
	ERR_INVALID,         // the input is wrong: the caller must change it
	ERR_MISUSED,         // the command line is wrong
	ERR_UNAUTHENTICATED, // no valid credential
	ERR_DENIED,          // policy or permission refuses it
	ERR_NOT_FOUND,
	ERR_CONFLICT,    // the state does not allow it (now)
	ERR_TOO_LARGE,   // over a stated maximum
	ERR_UNREACHABLE, // a peer did not answer
	ERR_CORRUPT,     // stored data is not what was stored
	ERR_SYSTEM,      // the operating system refused; `sys` holds errno
};

struct err {
	enum err_kind kind;
	int sys; // errno, or 0
	char msg[512];
};

// What in the message is not UTF-8 text, or is a control but LF and TAB, becomes '?'.
// Fills `e` (which may be NULL) and returns FAIL, so that `return err_set(…)` reads as one step.
struct result err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

// As err_set with ERR_SYSTEM; appends ": " and the text of errno, which it takes on entry.
struct result err_sys(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

// Puts "fmt: " before the message `e` already holds; returns FAIL.
struct result err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

// What a static analyzer can't see from these declarations: they always fail.
#ifdef SALLYPORT_ANALYZE
#define err_set(...) (err_set(__VA_ARGS__), FAIL)
#define err_sys(...) (err_sys(__VA_ARGS__), FAIL)
#define err_prefix(...) (err_prefix(__VA_ARGS__), FAIL)
#endif

// The exit code of product.md for a kind: 1 failed, 2 misused, 3 refused, 4 not reachable.
int err_exit_code(enum err_kind kind);

void bug_abort(const char *file, int line, const char *cond) __attribute__((noreturn, cold));

#define BUG_ON(cond)                                          \
	do {                                                  \
		if (__builtin_expect(!!(cond), 0))            \
			bug_abort(__FILE__, __LINE__, #cond); \
	} while (0)

#endif

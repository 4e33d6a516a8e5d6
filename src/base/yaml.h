// Strict YAML over libyaml's events: a tree whose nodes know their line and column.
//
// Refused: aliases and anchors, tags, merge keys, duplicate keys, more than one document, keys that are not plain words,
// nesting deeper than 32, more than 100,000 nodes or 1,000 keys of one map. There are no implicit types: a scalar is text, and
// the reader of a key says what it must be. Every error reads "FILE:LINE:COLUMN: what is wrong".
#ifndef SALLYPORT_BASE_YAML_H
#define SALLYPORT_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	unsigned line, column;    // 1-based
	struct span text;         // a scalar; NUL-terminated behind its end
	bool quoted;              // a scalar in quotes or a block: never null, true, a number
	struct yaml_pair *pairs;  // a map, in the file's order
	struct yaml_node **items; // a list
	size_t count;
};

struct yaml_pair {
	struct span key;
	unsigned line, column;
	struct yaml_node *value;
};

struct yaml_doc {
	char *name; // for errors
	struct yaml_node *root;
};

// Parses `text`; `name` stands in errors (the file's path). *out is freed with yaml_doc_free; every node belongs to it.
MUST_USE struct result yaml_parse(struct span text, const char *name, struct yaml_doc **out, struct err *e);
MUST_USE struct result yaml_load(const char *path, size_t max, struct yaml_doc **out, struct err *e);
void yaml_doc_free(struct yaml_doc *d);

// An error at a node: "FILE:LINE:COLUMN: …" (ERR_INVALID).
MUST_USE struct result yaml_fail(const struct yaml_doc *d, const struct yaml_node *at, struct err *e, const char *fmt, ...)
        PRINTF_LIKE(4, 5);

// The value of a key of a map; NULL without it.
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

// Checks that `map` is a map and that each of its keys is one of `known` (NULL-terminated); the error names the nearest word.
MUST_USE struct result yaml_check_keys(const struct yaml_doc *d, const struct yaml_node *map, const char *what,
                                       const char *const *known, struct err *e);

// A scalar as what it must be; `key` names it in errors.
MUST_USE struct result yaml_text(const struct yaml_doc *d, const struct yaml_node *n, const char *key, struct span *out,
                                 struct err *e); // non-empty text
MUST_USE struct result yaml_uint(const struct yaml_doc *d, const struct yaml_node *n, const char *key, uint64_t min,
                                 uint64_t max, uint64_t *out, struct err *e);
MUST_USE struct result yaml_bool(const struct yaml_doc *d, const struct yaml_node *n, const char *key, bool *out,
                                 struct err *e);
// A size: digits with B, kB, MB, GB, TB (1000), KiB, MiB, GiB, TiB (1024), or without a unit: bytes.
MUST_USE struct result yaml_bytes(const struct yaml_doc *d, const struct yaml_node *n, const char *key, uint64_t *out,
                                  struct err *e);
// A duration: digits with us, ms, s, m, h, d. In microseconds.
MUST_USE struct result yaml_duration(const struct yaml_doc *d, const struct yaml_node *n, const char *key, uint64_t *out_us,
                                     struct err *e);

// The tree as JSON with YAML's core types for unquoted scalars (null, true, false, integers; all else text), for places whose
// content is JSON to others (a tool's input). A new reference.
json_t *yaml_to_json(const struct yaml_node *n);

#endif

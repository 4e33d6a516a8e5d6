#include "base/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

#include "base/file.h"
#include "base/mem.h"

#define DEPTH_MAX 32
#define NODES_MAX 100000
#define KEYS_MAX 1000 // of one map: each is compared with all before it

struct builder {
	yaml_parser_t parser;
	yaml_event_t event;
	bool have_event;
	struct yaml_doc *doc;
	size_t nodes;
};

static void node_free(struct yaml_node *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->count; i++) {
		if (n->kind == YAML_MAP) {
			free((char *)n->pairs[i].key.data);
			node_free(n->pairs[i].value);
		} else {
			node_free(n->items[i]);
		}
	}
	free(n->pairs);
	free(n->items);
	free((char *)n->text.data);
	free(n);
}

void yaml_doc_free(struct yaml_doc *d)
{
	if (d == NULL)
		return;
	node_free(d->root);
	free(d->name);
	free(d);
}

struct result yaml_fail(const struct yaml_doc *d, const struct yaml_node *at, struct err *e, const char *fmt, ...)
{
	char what[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(e, ERR_INVALID, "%s:%u:%u: %s", d->name, at->line, at->column, what);
}

// An error at the current event.
static struct result fail_here(struct builder *b, struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID, "%s:%zu:%zu: %s", b->doc->name, b->event.start_mark.line + 1,
	               b->event.start_mark.column + 1, what);
}

static struct result next(struct builder *b, struct err *e)
{
	if (b->have_event)
		yaml_event_delete(&b->event);
	b->have_event = false;
	if (!yaml_parser_parse(&b->parser, &b->event))
		return err_set(e, ERR_INVALID, "%s:%zu:%zu: not valid YAML: %s", b->doc->name, b->parser.problem_mark.line + 1,
		               b->parser.problem_mark.column + 1, b->parser.problem == NULL ? "unreadable" : b->parser.problem);
	b->have_event = true;
	if (b->event.type == YAML_ALIAS_EVENT)
		return fail_here(b, e, "aliases (*name) are not allowed; write the value out");
	return OK;
}

static struct yaml_node *node_at(const yaml_event_t *ev, enum yaml_kind kind)
{
	struct yaml_node *n = NEW(struct yaml_node);
	n->kind = kind;
	n->line = (unsigned)ev->start_mark.line + 1;
	n->column = (unsigned)ev->start_mark.column + 1;
	return n;
}

static struct result build(struct builder *b, unsigned depth, struct yaml_node **out, struct err *e);

static struct result build_map(struct builder *b, unsigned depth, struct yaml_node *map, struct err *e)
{
	for (;;) {
		TRY(next(b, e));
		if (b->event.type == YAML_MAPPING_END_EVENT)
			return OK;
		if (b->event.type != YAML_SCALAR_EVENT || b->event.data.scalar.length == 0)
			return fail_here(b, e, "a key must be a plain word");
		struct span key = {(const char *)b->event.data.scalar.value, b->event.data.scalar.length};
		if (memchr(key.data, '\0', key.len) != NULL || span_is(key, "<<"))
			return fail_here(b, e, "a key must be a plain word (merge keys are not allowed)");
		for (size_t i = 0; i < map->count; i++) {
			if (span_eq(map->pairs[i].key, key))
				return err_set(e, ERR_INVALID, "%s:%zu:%zu: '%.*s' stands here twice (first in line %u)",
				               b->doc->name, b->event.start_mark.line + 1, b->event.start_mark.column + 1,
				               SPAN_FMT(span_head(key, 60)), map->pairs[i].line);
		}
		if (map->count == KEYS_MAX)
			return fail_here(b, e, "too many keys");
		map->pairs = mem_grow(map->pairs, map->count + 1, sizeof(*map->pairs));
		struct yaml_pair *p = &map->pairs[map->count++];
		*p = (struct yaml_pair){{span_dup(key), key.len},
		                        (unsigned)b->event.start_mark.line + 1,
		                        (unsigned)b->event.start_mark.column + 1,
		                        NULL};
		TRY(next(b, e));
		struct yaml_node *value = NULL;
		struct result r = build(b, depth + 1, &value, e);
		map->pairs[map->count - 1].value = value;
		TRY(r);
	}
}

static struct result build_list(struct builder *b, unsigned depth, struct yaml_node *list, struct err *e)
{
	for (;;) {
		TRY(next(b, e));
		if (b->event.type == YAML_SEQUENCE_END_EVENT)
			return OK;
		struct yaml_node *item = NULL;
		struct result r = build(b, depth + 1, &item, e);
		list->items = mem_grow(list->items, list->count + 1, sizeof(struct yaml_node *));
		list->items[list->count++] = item;
		TRY(r);
	}
}

static struct result build_scalar(struct builder *b, struct yaml_node *n, struct err *e)
{
	struct span text = {(const char *)b->event.data.scalar.value, b->event.data.scalar.length};
	if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
		return fail_here(b, e, "a NUL character is not allowed");
	n->text = (struct span){span_dup(text), text.len};
	n->quoted = b->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return OK;
}

// Builds the node whose first event is the current one. *out is set also on failure, so that its owner frees it.
static struct result build(struct builder *b, unsigned depth, struct yaml_node **out, struct err *e)
{
	if (depth > DEPTH_MAX)
		return fail_here(b, e, "nested too deeply");
	if (++b->nodes > NODES_MAX)
		return fail_here(b, e, "too many values");
	const yaml_event_t *ev = &b->event;
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		*out = node_at(ev, YAML_SCALAR);
		if (ev->data.scalar.anchor != NULL || ev->data.scalar.tag != NULL)
			return fail_here(b, e, "anchors (&name) and tags (!type) are not allowed");
		return build_scalar(b, *out, e);
	case YAML_MAPPING_START_EVENT:
		*out = node_at(ev, YAML_MAP);
		if (ev->data.mapping_start.anchor != NULL || ev->data.mapping_start.tag != NULL)
			return fail_here(b, e, "anchors (&name) and tags (!type) are not allowed");
		return build_map(b, depth, *out, e);
	case YAML_SEQUENCE_START_EVENT:
		*out = node_at(ev, YAML_LIST);
		if (ev->data.sequence_start.anchor != NULL || ev->data.sequence_start.tag != NULL)
			return fail_here(b, e, "anchors (&name) and tags (!type) are not allowed");
		return build_list(b, depth, *out, e);
	default:
		return fail_here(b, e, "expected a value");
	}
}

static struct result build_document(struct builder *b, struct err *e)
{
	TRY(next(b, e)); // stream start
	TRY(next(b, e));
	if (b->event.type == YAML_STREAM_END_EVENT)
		return err_set(e, ERR_INVALID, "%s: empty", b->doc->name);
	TRY(next(b, e));
	TRY(build(b, 0, &b->doc->root, e));
	TRY(next(b, e)); // document end
	TRY(next(b, e));
	if (b->event.type != YAML_STREAM_END_EVENT)
		return fail_here(b, e, "a second document is not allowed");
	return OK;
}

struct result yaml_parse(struct span text, const char *name, struct yaml_doc **out, struct err *e)
{
	struct builder b = {.doc = NEW(struct yaml_doc)};
	b.doc->name = mem_strdup(name);
	BUG_ON(!yaml_parser_initialize(&b.parser));
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.data == NULL ? "" : text.data), text.len);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	struct result r = build_document(&b, e);
	if (b.have_event)
		yaml_event_delete(&b.event);
	yaml_parser_delete(&b.parser);
	if (failed(r)) {
		yaml_doc_free(b.doc);
		return FAIL;
	}
	*out = b.doc;
	return OK;
}

struct result yaml_load(const char *path, size_t max, struct yaml_doc **out, struct err *e)
{
	AUTO_BUF struct buf text;
	buf_init(&text, max);
	TRY(file_read(path, &text, e));
	return yaml_parse(buf_span(&text), path, out, e);
}

// The grammar is ECMA-262's with annex B, without the u flag: nearly everything means something, if only itself.
#include <stdio.h>
#include <string.h>

#include "tools/regex.h"
#include "tools/regex_class.h"

#define GROUP_DEPTH 500
#define REPEAT_MAX 65535 // PCRE2's; lines are shorter, so that no larger count can tell a difference

struct group_name {
	const uint16_t *at;
	size_t len;
	size_t group;
};

struct parser {
	struct arena *arena;
	struct regex_text text;
	struct arena_units *out;
	size_t groups; // in the whole pattern
	size_t opened; // so far
	bool has_names;
	struct arena_list names; // struct group_name *
	struct arena_list uses;  // \k<name>: struct group_name *, of which `group` is where in `out` the number belongs
	size_t inside[GROUP_DEPTH];
	size_t depth; // of `inside`: the capturing groups around
	struct err *err;
};

static struct result fail(struct parser *p, const char *why)
{
	return err_set(p->err, ERR_INVALID, "%s", why);
}

static bool at_end(const struct parser *p)
{
	return p->text.pos >= p->text.len;
}

static bool take(struct parser *p, char c)
{
	if (regex_peek(&p->text, 0) != c)
		return false;
	p->text.pos++;
	return true;
}

static bool take_word(struct parser *p, const char *word)
{
	for (size_t i = 0; word[i] != '\0'; i++)
		if (regex_peek(&p->text, i) != word[i])
			return false;
	p->text.pos += strlen(word);
	return true;
}

static void emit(struct parser *p, const char *text)
{
	arena_ascii(p->arena, p->out, text);
}

// How many groups there are, and whether any has a name: what "\1" and "\k" mean depends on what comes later.
static void count_groups(struct parser *p)
{
	bool in_class = false;
	for (size_t i = 0; i < p->text.len; i++) {
		uint16_t c = p->text.at[i];
		if (c == '\\') {
			i++;
		} else if (c == '[') {
			in_class = true;
		} else if (c == ']') {
			in_class = false;
		} else if (c == '(' && !in_class) {
			const uint16_t *next = p->text.at + i + 1;
			size_t left = p->text.len - i - 1;
			bool name = left >= 2 && next[0] == '?' && next[1] == '<' &&
			            (left == 2 || (next[2] != '=' && next[2] != '!'));
			p->groups += left == 0 || next[0] != '?' || name;
			p->has_names |= name;
		}
	}
}

// A Unicode escape in a name, after its backslash: "u0061" or "u{61}". False when it is none; what it stands for does not
// matter.
static bool take_unicode_escape(struct parser *p)
{
	struct regex_text t = p->text;
	if (regex_peek(&t, 0) != 'u')
		return false;
	t.pos++;
	bool braced = regex_peek(&t, 0) == '{';
	t.pos += braced;
	size_t digits = 0;
	while (regex_is_hex(regex_peek(&t, 0)) && (braced || digits < 4)) {
		t.pos++;
		digits++;
	}
	if (braced ? digits == 0 || digits > 6 || regex_peek(&t, 0) != '}' : digits != 4)
		return false;
	p->text.pos = t.pos + braced;
	return true;
}

static struct result parse_name(struct parser *p, struct group_name *name)
{
	size_t start = p->text.pos;
	for (int c; (c = regex_peek(&p->text, 0)) != '>';) {
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c >= 0x80;
		bool digit = c >= '0' && c <= '9' && p->text.pos > start;
		p->text.pos += c >= 0;
		if (c == '\\' && regex_peek(&p->text, 0) == 'u' && !take_unicode_escape(p))
			return fail(p, "Invalid Unicode escape");
		if (!letter && !digit && !(c == '\\' && p->text.at[p->text.pos - 1] != '\\'))
			return fail(p, "Invalid capture group name");
	}
	*name = (struct group_name){p->text.at + start, p->text.pos - start, 0};
	p->text.pos++;
	return name->len > 0 ? OK : fail(p, "Invalid capture group name");
}

static const struct group_name *find_name(const struct parser *p, const struct group_name *name)
{
	for (size_t i = 0; i < p->names.count; i++) {
		const struct group_name *n = p->names.items[i];
		if (n->len == name->len && memcmp(n->at, name->at, n->len * sizeof(*n->at)) == 0)
			return n;
	}
	return NULL;
}

// At a named group's end, which is where V8 looks for doubles.
static struct result define_name(struct parser *p, const struct group_name *name)
{
	if (name->len == 0)
		return OK;
	if (find_name(p, name) != NULL)
		return fail(p, "Duplicate capture group name");
	struct group_name *kept = arena_alloc(p->arena, sizeof(*kept));
	*kept = *name;
	arena_push(p->arena, &p->names, kept);
	return OK;
}

static void emit_number(struct parser *p, const char *before, unsigned long n, const char *after)
{
	char text[32];
	snprintf(text, sizeof(text), "%s%lu%s", before, n, after);
	emit(p, text);
}

// Inside its own group a reference matches nothing yet.
static void emit_reference(struct parser *p, size_t group)
{
	for (size_t i = 0; i < p->depth; i++)
		if (p->inside[i] == group)
			return emit(p, "(?:)");
	emit_number(p, "\\g{", group, "}");
}

// "\12": a reference if there are that many groups. False leaves the position.
static bool reference(struct parser *p)
{
	size_t start = p->text.pos, value = 0;
	for (int c; (c = regex_peek(&p->text, 0)) >= '0' && c <= '9'; p->text.pos++) {
		value = value * 10 + (size_t)(c - '0');
		if (value > 65535)
			break;
	}
	if (value > p->groups) {
		p->text.pos = start;
		return false;
	}
	emit_reference(p, value);
	return true;
}

static struct result named_reference(struct parser *p)
{
	struct group_name name;
	if (!take(p, '<'))
		return fail(p, "Invalid named reference");
	TRY(parse_name(p, &name));
	// The group may come later, so its number is looked up in the pattern itself when all is parsed: five digits are kept
	// free.
	struct group_name *use = arena_alloc(p->arena, sizeof(*use));
	*use = name;
	emit(p, "\\g{");
	use->group = p->out->len;
	emit(p, "00000}");
	arena_push(p->arena, &p->uses, use);
	return OK;
}

static struct result resolve_names(struct parser *p)
{
	for (size_t i = 0; i < p->uses.count; i++) {
		const struct group_name *use = p->uses.items[i], *name = find_name(p, use);
		if (name == NULL)
			return fail(p, "Invalid named capture referenced");
		char digits[24];
		snprintf(digits, sizeof(digits), "%05zu", name->group);
		for (size_t k = 0; k < 5; k++)
			p->out->at[use->group + k] = (unsigned char)digits[k];
	}
	return OK;
}

// After a backslash. *repeats: whether a quantifier may follow.
static struct result escape(struct parser *p, bool *repeats)
{
	int c = regex_peek(&p->text, 0);
	if (c < 0)
		return fail(p, "\\ at end of pattern");
	if (c == 'b' || c == 'B') {
		p->text.pos++;
		*repeats = false;
		emit(p, c == 'b' ? "\\b" : "\\B");
	} else if (regex_set(c) != NULL) {
		p->text.pos++;
		emit(p, "[");
		emit(p, regex_set(c));
		emit(p, "]");
	} else if (c == 'k' && p->has_names) {
		p->text.pos++;
		TRY(named_reference(p));
	} else if (c < '1' || c > '9' || !reference(p)) {
		regex_emit(p->arena, p->out, regex_escape(&p->text, false));
	}
	return OK;
}

// "{2,3}": false leaves the position, and the brace is a brace.
static bool parse_interval(struct parser *p, double *min, double *max)
{
	struct regex_text t = p->text;
	double value[2] = {0, 0};
	bool comma = false;
	if (regex_peek(&t, 0) != '{')
		return false;
	t.pos++;
	for (int i = 0; i < 2; i++) {
		size_t start = t.pos;
		for (int c; (c = regex_peek(&t, 0)) >= '0' && c <= '9'; t.pos++)
			value[i] = value[i] * 10 + (c - '0');
		if (i == 0 && t.pos == start)
			return false;
		if (i == 1 && comma && t.pos == start)
			value[1] = 1e300;
		if (i == 0 && regex_peek(&t, 0) == ',') {
			comma = true;
			t.pos++;
		} else if (i == 0) {
			value[1] = value[0];
			break;
		}
	}
	if (regex_peek(&t, 0) != '}')
		return false;
	p->text.pos = t.pos + 1;
	*min = value[0];
	*max = value[1];
	return true;
}

static struct result quantifier(struct parser *p, bool repeats)
{
	double min, max;
	int c = regex_peek(&p->text, 0);
	if (!repeats)
		return OK; // "^*": the next atom will be a quantifier without anything to repeat
	if (c == '*' || c == '+' || c == '?') {
		p->text.pos++;
		arena_unit(p->arena, p->out, (uint16_t)c);
	} else if (parse_interval(p, &min, &max)) {
		if (max < min)
			return fail(p, "numbers out of order in {} quantifier");
		emit_number(p, "{", (unsigned long)(min > REPEAT_MAX ? REPEAT_MAX : min), ",");
		if (max <= REPEAT_MAX)
			emit_number(p, "", (unsigned long)max, "");
		emit(p, "}");
	} else {
		return OK;
	}
	if (take(p, '?'))
		emit(p, "?");
	return OK;
}

static struct result alternatives(struct parser *p, unsigned depth);

// After "(". *repeats: whether a quantifier may follow the group.
static struct result group(struct parser *p, unsigned depth, bool *repeats)
{
	static const char *const plain[] = {"?:", "?=", "?!", "?<=", "?<!"};
	struct group_name name = {0};
	size_t kind = 0, number = 0;
	while (kind < 5 && !take_word(p, plain[kind]))
		kind++;
	emit(p, "(");
	if (kind < 5) {
		emit(p, plain[kind]);
		*repeats = kind < 3;
	} else {
		number = ++p->opened;
		if (take(p, '?')) {
			if (!take(p, '<'))
				return fail(p, "Invalid group");
			TRY(parse_name(p, &name));
			name.group = number;
		}
	}
	if (depth + 1 >= GROUP_DEPTH || p->arena->used > ((size_t)64 << 20))
		return fail(p, "Regular expression too large");
	if (number > 0)
		p->inside[p->depth++] = number;
	TRY(alternatives(p, depth + 1));
	p->depth -= number > 0;
	if (!take(p, ')'))
		return fail(p, "Unterminated group");
	emit(p, ")");
	return define_name(p, &name);
}

static struct result class(struct parser *p)
{
	const char *why = regex_class(p->arena, &p->text, p->has_names, p->out);
	return why == NULL ? OK : fail(p, why);
}

static struct result atom(struct parser *p, unsigned depth, bool *repeats)
{
	double min, max;
	int c = regex_peek(&p->text, 0);
	*repeats = true;
	if (c == '*' || c == '+' || c == '?' || (c == '{' && parse_interval(p, &min, &max)))
		return fail(p, "Nothing to repeat");
	p->text.pos++;
	switch (c) {
	case '^':
	case '$':
		*repeats = false;
		arena_unit(p->arena, p->out, (uint16_t)c);
		return OK;
	case '.':
		emit(p, "[^\\n\\r\\x{2028}\\x{2029}]");
		return OK;
	case '(':
		return group(p, depth, repeats);
	case '[':
		return class(p);
	case '\\':
		return escape(p, repeats);
	default:
		regex_emit(p->arena, p->out, (uint16_t)c);
		return OK;
	}
}

static struct result alternatives(struct parser *p, unsigned depth)
{
	while (!at_end(p)) {
		bool repeats;
		int c = regex_peek(&p->text, 0);
		if (c == ')' && depth == 0)
			return fail(p, "Unmatched ')'");
		if (c == ')')
			return OK;
		if (take(p, '|')) {
			emit(p, "|");
			continue;
		}
		TRY(atom(p, depth, &repeats));
		TRY(quantifier(p, repeats));
	}
	return OK;
}

struct result regex_translate(struct arena *a, const uint16_t *pattern, size_t len, struct arena_units *out, struct err *e)
{
	struct parser *p = arena_alloc(a, sizeof(*p));
	*p = (struct parser){.arena = a, .text = {pattern, len, 0}, .out = out, .err = e};
	count_groups(p);
	if (p->groups > 65535)
		return fail(p, "Too many captures");
	TRY(alternatives(p, 0));
	return resolve_names(p);
}

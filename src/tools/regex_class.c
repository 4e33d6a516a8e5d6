#include "tools/regex_class.h"

#include <stdio.h>

int regex_peek(const struct regex_text *t, size_t ahead)
{
	return ahead < t->len - t->pos ? t->at[t->pos + ahead] : -1;
}

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

void regex_emit(struct arena *a, struct arena_units *out, uint16_t c)
{
	char text[16];
	if (is_letter(c) || is_digit(c)) {
		arena_unit(a, out, c);
		return;
	}
	snprintf(text, sizeof(text), "\\x{%x}", c);
	arena_ascii(a, out, text);
}

const char *regex_set(int letter)
{
	switch (letter) {
	case 'd':
		return "0-9";
	case 'D':
		return "\\x{0}-\\x{2f}\\x{3a}-\\x{ffff}";
	case 'w':
		return "0-9A-Z_a-z";
	case 'W':
		return "\\x{0}-\\x{2f}\\x{3a}-\\x{40}\\x{5b}-\\x{5e}\\x{60}\\x{7b}-\\x{ffff}";
	case 's':
		return "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
		       "\\x{feff}";
	case 'S':
		return "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"
		       "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}\\x{ff00}-\\x{ffff}";
	default:
		return NULL;
	}
}

static int hex_value(int c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool regex_is_hex(int c)
{
	return hex_value(c) >= 0;
}

// Exactly `n` hex digits; false leaves the position.
static bool take_hex(struct regex_text *t, size_t n, uint16_t *value)
{
	*value = 0;
	for (size_t i = 0; i < n; i++) {
		int digit = hex_value(regex_peek(t, i));
		if (digit < 0)
			return false;
		*value = (uint16_t)(*value << 4 | digit);
	}
	t->pos += n;
	return true;
}

// Up to three octal digits, at most 0377; the first has been taken.
static uint16_t octal(struct regex_text *t, int first)
{
	int value = first - '0';
	for (int i = 0; i < 2; i++) {
		int c = regex_peek(t, 0);
		if (c < '0' || c > '7' || value >= 32)
			break;
		value = value * 8 + (c - '0');
		t->pos++;
	}
	return (uint16_t)value;
}

uint16_t regex_escape(struct regex_text *t, bool in_class)
{
	static const char from[] = "fnrtv", to[] = "\f\n\r\t\v";
	uint16_t c = t->at[t->pos++], value;
	for (size_t i = 0; from[i] != '\0'; i++)
		if (c == (unsigned char)from[i])
			return (unsigned char)to[i];
	if (c >= '0' && c <= '7')
		return octal(t, c);
	if (c == 'b' && in_class)
		return '\b';
	if ((c == 'x' && take_hex(t, 2, &value)) || (c == 'u' && take_hex(t, 4, &value)))
		return value;
	if (c == 'c') {
		int next = regex_peek(t, 0);
		if (is_letter(next) || (in_class && (is_digit(next) || next == '_'))) {
			t->pos++;
			return (uint16_t)(next & 0x1F);
		}
		t->pos--; // the backslash stands for itself, the "c" comes next
		return '\\';
	}
	return c;
}

struct item {
	const char *set; // or NULL: the code unit
	uint16_t unit;
};

// Returns NULL, or what is wrong.
static const char *take_item(struct regex_text *t, bool names, struct item *item)
{
	*item = (struct item){0};
	uint16_t c = t->at[t->pos++];
	if (c != '\\') {
		item->unit = c;
		return NULL;
	}
	if (regex_peek(t, 0) < 0)
		return "\\ at end of pattern";
	if (regex_peek(t, 0) == 'k' && names)
		return "Invalid escape";
	item->set = regex_set(regex_peek(t, 0));
	if (item->set != NULL)
		t->pos++;
	else
		item->unit = regex_escape(t, true);
	return NULL;
}

static void emit_item(struct arena *a, struct arena_units *out, const struct item *item)
{
	if (item->set != NULL)
		arena_ascii(a, out, item->set);
	else
		regex_emit(a, out, item->unit);
}

// One item or range. NULL, or what is wrong.
static const char *take_range(struct arena *a, struct regex_text *t, bool names, struct arena_units *out)
{
	struct item first, last;
	const char *why = take_item(t, names, &first);
	if (why != NULL)
		return why;
	if (regex_peek(t, 0) != '-' || regex_peek(t, 1) == ']' || regex_peek(t, 1) < 0) {
		emit_item(a, out, &first);
		return NULL;
	}
	t->pos++;
	if ((why = take_item(t, names, &last)) != NULL)
		return why;
	bool range = first.set == NULL && last.set == NULL;
	if (range && first.unit > last.unit)
		return "Range out of order in character class";
	emit_item(a, out, &first);
	if (range)
		arena_unit(a, out, '-');
	else
		regex_emit(a, out, '-');
	emit_item(a, out, &last);
	return NULL;
}

const char *regex_class(struct arena *a, struct regex_text *t, bool names, struct arena_units *out)
{
	bool negated = regex_peek(t, 0) == '^';
	t->pos += negated;
	if (regex_peek(t, 0) == ']') {
		t->pos++;
		arena_ascii(a, out, negated ? "[\\x{0}-\\x{ffff}]" : "(?!)");
		return NULL;
	}
	arena_ascii(a, out, negated ? "[^" : "[");
	for (int c; (c = regex_peek(t, 0)) != ']';) {
		const char *why = c < 0 ? "Unterminated character class" : take_range(a, t, names, out);
		if (why != NULL)
			return why;
	}
	t->pos++;
	arena_unit(a, out, ']');
	return NULL;
}

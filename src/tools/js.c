#include "tools/js.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

json_t *js_parse(struct span text)
{
	return json_loadb(text.data == NULL ? "" : text.data, text.len,
	                  JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
}

bool js_truthy(const json_t *v)
{
	if (v == NULL || json_is_null(v) || json_is_false(v))
		return false;
	if (json_is_string(v))
		return json_string_length(v) > 0;
	if (json_is_number(v))
		return json_number_value(v) != 0;
	return true;
}

static void add(struct buf *out, const char *s)
{
	BUG_ON(!buf_add_str(out, s));
}

// Number::toString: the shortest digits that read back as the same double, an exponent only from 1e21 and below 1e-6.
static void add_number(double d, struct buf *out)
{
	char digits[40];
	if (isnan(d))
		return add(out, "NaN");
	if (isinf(d))
		return add(out, d > 0 ? "Infinity" : "-Infinity");
	if (d == 0)
		return add(out, "0");
	for (int precision = 1; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*e", precision - 1, d);
		if (strtod(digits, NULL) == d)
			break;
	}
	char *e = strchr(digits, 'e');
	BUG_ON(e == NULL);
	int exponent = (int)strtol(e + 1, NULL, 10);
	char *point = strchr(digits, '.');
	int decimals = (point == NULL ? 0 : (int)(e - point) - 1) - exponent;
	*e = '\0';
	if (exponent >= 21 || exponent < -6) {
		BUG_ON(!buf_printf(out, "%se%s%d", digits, exponent < 0 ? "-" : "+", abs(exponent)));
	} else if (decimals >= 0) {
		BUG_ON(!buf_printf(out, "%.*f", decimals, d));
	} else { // what the digits do not say is zeros, not the double's own digits
		if (point != NULL)
			memmove(point, point + 1, strlen(point));
		add(out, digits);
		for (; decimals < 0; decimals++)
			add(out, "0");
	}
}

void js_string(const json_t *v, struct buf *out)
{
	size_t i;
	const json_t *item;
	if (v == NULL)
		return add(out, "undefined");
	switch (json_typeof(v)) {
	case JSON_STRING:
		BUG_ON(!buf_add(out, span_from(json_string_value(v), json_string_length(v))));
		return;
	case JSON_INTEGER:
	case JSON_REAL:
		return add_number(json_number_value(v), out);
	case JSON_TRUE:
		return add(out, "true");
	case JSON_FALSE:
		return add(out, "false");
	case JSON_NULL:
		return add(out, "null");
	case JSON_OBJECT:
		return add(out, "[object Object]");
	case JSON_ARRAY:
		json_array_foreach (v, i, item) {
			if (i > 0)
				add(out, ",");
			if (!json_is_null(item))
				js_string(item, out);
		}
	}
}

double js_number(const json_t *v)
{
	if (v == NULL)
		return NAN;
	if (json_is_number(v))
		return json_number_value(v);
	if (json_is_null(v) || json_is_false(v))
		return 0;
	if (json_is_true(v))
		return 1;
	if (!json_is_string(v))
		return NAN;
	// A string's number: decimal digits only here; what else JavaScript reads (hex, "Infinity") no caller would write.
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);
	if (strspn(s, " \t\n\r") == len)
		return 0;
	if (strspn(s, "0123456789.eE+- \t\n\r") != len)
		return NAN;
	char *end;
	double d = strtod(s, &end);
	end += strspn(end, " \t\n\r");
	return end == s + len ? d : NAN;
}

static void quote_text(struct span s, struct buf *out)
{
	add(out, "\"");
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];
		static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";
		const char *hit = NULL;
		for (const char *p = shorts; *p != '\0'; p += 2)
			hit = (unsigned char)*p == c ? p : hit;
		if (hit != NULL)
			BUG_ON(!buf_printf(out, "\\%c", hit[1]));
		else if (c < 0x20)
			BUG_ON(!buf_printf(out, "\\u%04x", c));
		else
			BUG_ON(!buf_add(out, span_from(s.data + i, 1)));
	}
	add(out, "\"");
}

void js_quote(const json_t *v, struct buf *out)
{
	size_t i;
	const json_t *item;
	const char *key;
	const char *sep = "";
	if (json_is_string(v)) {
		quote_text(span_from(json_string_value(v), json_string_length(v)), out);
	} else if (json_is_array(v)) {
		add(out, "[");
		json_array_foreach (v, i, item) {
			add(out, i > 0 ? "," : "");
			js_quote(item, out);
		}
		add(out, "]");
	} else if (json_is_object(v)) {
		add(out, "{");
		json_object_foreach ((json_t *)v, key, item) {
			add(out, sep);
			quote_text(span_of(key), out);
			add(out, ":");
			js_quote(item, out);
			sep = ",";
		}
		add(out, "}");
	} else if (json_is_number(v) && isinf(json_number_value(v))) {
		add(out, "null");
	} else {
		js_string(v, out);
	}
}

void js_received(const json_t *v, struct buf *out)
{
	if (v == NULL)
		return add(out, "Received undefined");
	if (json_is_null(v))
		return add(out, "Received null");
	if (json_is_array(v))
		return add(out, "Received an instance of Array");
	if (json_is_object(v))
		return add(out, "Received an instance of Object");
	if (json_is_string(v)) {
		add(out, "Received type string ('");
		js_string(v, out);
		return add(out, "')");
	}
	add(out, json_is_number(v) ? "Received type number (" : "Received type boolean (");
	js_string(v, out);
	add(out, ")");
}
